#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "collector/self_metrics.h"

namespace fleet::collector {
namespace {

std::string ReadProc(const char* path) {
  std::string text(8192, '\0');
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path, "re"), &std::fclose);
  if (file == nullptr) return {};
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  return text;
}

double CountOpenFds() {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/proc/self/fd"), &::closedir);
  if (dir == nullptr) return -1;
  double count = -3;                                // ".", ".." and the directory itself
  while (::readdir(dir.get()) != nullptr) ++count;  // NOLINT(concurrency-mt-unsafe): own stream
  return count;
}

/// The second of /proc/stat's "btime" line; 0 when unreadable.
double BootTime() {
  for (const absl::string_view line : absl::StrSplit(ReadProc("/proc/stat"), '\n')) {
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    double seconds = 0;
    if (halves.first == "btime" && absl::SimpleAtod(halves.second, &seconds)) return seconds;
  }
  return 0;
}

}  // namespace

void SetProcessMetrics(SelfMetrics& metrics) {
  const std::string stat = ReadProc("/proc/self/stat");
  // The second field, the name in parentheses, may hold blanks and parentheses of its own.
  const size_t end = stat.rfind(')');
  const std::vector<std::string> fields =
      end == std::string::npos ? std::vector<std::string>{}
                               : absl::StrSplit(stat.substr(end + 1), ' ', absl::SkipEmpty());
  const auto number = [&fields](size_t i, double& value) {  // counted from 3, as proc(5) does
    return i - 3 < fields.size() && absl::SimpleAtod(fields[i - 3], &value);
  };
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  double user = 0;
  double system = 0;
  double value = 0;
  if (number(14, user) && number(15, system)) metrics.Set(self::kCpu, {}, (user + system) / ticks);
  if (number(20, value)) metrics.Set(self::kThreads, {}, value);
  static const double boot = BootTime();
  if (boot > 0 && number(22, value)) metrics.Set(self::kStart, {}, boot + value / ticks);
  if (number(23, value)) metrics.Set(self::kVirtual, {}, value);
  if (number(24, value)) metrics.Set(self::kResident, {}, value * page);
  const double fds = CountOpenFds();
  if (fds >= 0) metrics.Set(self::kOpenFds, {}, fds);
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    metrics.Set(self::kMaxFds, {}, static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace fleet::collector
