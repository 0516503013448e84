#pragma once

#include <cmath>
#include <future>
#include <limits>

#include "absl/strings/match.h"
#include "common/probe/probe.h"

namespace fleet::test {

/// Asks and waits for what comes of it.
inline probe::Result Ask(probe::Engine& engine, const probe::Spec& spec) {
  std::promise<probe::Result> result;
  std::future<probe::Result> future = result.get_future();
  engine.Start(spec, [&](probe::Result got) { result.set_value(std::move(got)); });
  return future.get();
}

/// The value of the family's first sample whose labels hold `label`; NaN without one.
inline double Sample(const probe::Result& result, absl::string_view name,
                     absl::string_view label = "") {
  for (size_t i = 0; i < result.samples.size(); ++i) {
    if (result.samples.name(i) == name && absl::StrContains(result.samples.labels(i), label)) {
      return result.samples.values()[i];
    }
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace fleet::test
