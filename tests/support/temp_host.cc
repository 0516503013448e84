#include "tests/support/temp_host.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

#ifndef FLEET_SOURCE_DIR
#error "FLEET_SOURCE_DIR names the checkout"
#endif

namespace fleet::test {
namespace fs = std::filesystem;

TempDir::TempDir() {
  std::string pattern = (fs::temp_directory_path() / "fleet-test-XXXXXX").string();
  FLEET_ASSERT(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string TempDir::operator/(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

TempHost& TempHost::Write(absl::string_view path, absl::string_view text) {
  const fs::path full = dir_ / path;
  fs::create_directories(full.parent_path());
  std::ofstream(full, std::ios::binary) << text;
  return *this;
}

TempHost& TempHost::Link(absl::string_view path, absl::string_view target) {
  const fs::path full = dir_ / path;
  fs::create_directories(full.parent_path());
  fs::create_symlink(std::string(target), full);
  return *this;
}

TempHost& TempHost::Remove(absl::string_view path) {
  fs::remove_all(dir_ / path);
  return *this;
}

std::string Fixture(absl::string_view path) {
  std::ifstream in(absl::StrCat(FLEET_SOURCE_DIR "/tests/fixtures/", path), std::ios::binary);
  FLEET_ASSERT(in.good());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace fleet::test
