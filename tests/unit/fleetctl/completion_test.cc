#include "fleetctl/completion.h"

#include <CLI/CLI.hpp>

#include "fleetctl/command.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::ctl {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsSupersetOf;
using ::testing::Not;

/// fleetctl's own commands, with one global option as its main has them.
class CompletionTest : public testing::Test {
 protected:
  CompletionTest() {
    app_.add_option("--ca", context_.client.ca, "PEM file: whom we believe");
    for (const Command& command : Commands()) command.add(app_, context_);
  }
  Completions After(const std::vector<std::string>& words) { return Complete(app_, words); }

  Context context_;
  CLI::App app_;
};

TEST_F(CompletionTest, OffersEveryCommandThatHelpShows) {
  const std::vector<std::string> words = After({}).words;
  EXPECT_THAT(words, IsSupersetOf({"status", "explain", "hosts", "completion", "--ca", "--help"}));
  EXPECT_THAT(words, Not(Contains("complete")));
}

TEST_F(CompletionTest, OffersTargetsAndTheOptionsOfACommand) {
  const Completions found = After({"status"});
  EXPECT_TRUE(found.targets);
  EXPECT_THAT(found.words, IsSupersetOf({"--output", "--watch", "--fail-on", "--ca"}));
  EXPECT_FALSE(After({"status", "tempo"}).targets);
}

TEST_F(CompletionTest, OffersTheValuesOfAnOption) {
  EXPECT_THAT(After({"status", "-o"}).words, ElementsAre("table", "wide", "json", "tsv"));
  EXPECT_THAT(After({"status", "--fail-on"}).words, ElementsAre("warn", "crit"));
  EXPECT_THAT(After({"completion"}).words, IsSupersetOf({"bash", "zsh", "fish"}));
  EXPECT_TRUE(After({"--ca"}).files);
  EXPECT_TRUE(After({"status", "-o", "json"}).targets);
}

TEST_F(CompletionTest, BashCompletesByTheScript) {
  // The script asks the program; a function stands where PATH would find it.
  const std::string script =
      absl::StrCat("fleetctl() { printf '%s\\n' status explain; }\n",
                   "export COMP_LINE='fleetctl st' COMP_POINT=11\n", CompletionScript("bash"),
                   "\n_fleetctl; printf '%s|' \"${COMPREPLY[@]}\"");
  EXPECT_EQ(test::RunProgram({"bash", "-c", script}).text, "status|");
  EXPECT_EQ(CompletionScript("tcsh"), "");
}

TEST_F(CompletionTest, TheScriptsAreGoodShell) {
  const test::TempDir dir;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    SCOPED_TRACE(shell);
    ASSERT_NE(CompletionScript(shell), "");
    if (!test::HasProgram(shell)) continue;
    test::WriteFile(dir / shell, CompletionScript(shell));
    const test::Output output = test::RunProgram({shell, "-n", dir / shell});
    EXPECT_EQ(output.exit_code, 0) << output.text;
  }
}

}  // namespace
}  // namespace fleet::ctl
