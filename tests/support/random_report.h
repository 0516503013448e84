#pragma once

#include <random>
#include <string>
#include <vector>

#include "common/report.h"

namespace fleet::test {

/// Makes reports of a few checks that change as real ones do, and now and then as no real one
/// does: new series, lost series, other order, NaN, infinities, the other zero, any bits.
class RandomReports {
 public:
  explicit RandomReports(uint64_t seed) : random_(seed) {}

  /// The next report, of any check.
  Report Next();

 private:
  struct Source {
    Report report;
    std::vector<std::string> series;
    std::vector<double> values;
    std::vector<int> kinds;
  };

  uint64_t Pick(uint64_t below) { return random_() % below; }
  double NextValue(double value, int kind);
  std::string Text();
  void ChangeSeries(Source& source);
  void ChangeWords(Source& source);

  std::mt19937_64 random_;
  std::vector<Source> sources_;
  int names_ = 0;
};

/// Whether two reports are the same to the last bit (times to the microsecond). Otherwise says
/// what differs.
std::string Difference(const Report& a, const Report& b);

}  // namespace fleet::test
