#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace fleet::agent {

/// Numbers by name in the order of their file (meminfo, vmstat). All names share one buffer, so a
/// table of fifty costs a few allocations.
class NamedValues {
 public:
  struct Value {
    uint32_t name_begin;
    uint32_t name_size;
    double value;
  };

  void Add(absl::string_view name, double value) {
    values_.push_back(
        {static_cast<uint32_t>(names_.size()), static_cast<uint32_t>(name.size()), value});
    names_.append(name.data(), name.size());
  }
  void Reserve(size_t values, size_t name_bytes) {
    values_.reserve(values);
    names_.reserve(name_bytes);
  }

  size_t size() const { return values_.size(); }
  absl::string_view name(size_t i) const {
    return absl::string_view(names_).substr(values_[i].name_begin, values_[i].name_size);
  }
  double value(size_t i) const { return values_[i].value; }

  /// The first value of that name.
  std::optional<double> Find(absl::string_view name) const {
    for (size_t i = 0; i < values_.size(); ++i) {
      if (this->name(i) == name) return values_[i].value;
    }
    return std::nullopt;
  }

 private:
  std::string names_;
  std::vector<Value> values_;
};

}  // namespace fleet::agent
