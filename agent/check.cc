#include "agent/check.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "common/status_macros.h"

namespace fleet::agent {

const std::string* CheckMemory::Find(absl::string_view key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

void CheckMemory::Set(absl::string_view key, std::string value) {
  std::string& entry = entries_[std::string(key)];
  if (entry == value && !value.empty()) return;
  entry = std::move(value);
  ++revision_;
}

void CheckMemory::Erase(absl::string_view key) {
  if (entries_.erase(std::string(key)) > 0) ++revision_;
}

CheckRun::CheckRun(absl::Span<const MetricDesc> declared, Clock& clock, SteadyTime deadline,
                   CheckMemory& memory, bool expected)
    : declared_(declared),
      clock_(clock),
      deadline_(deadline),
      memory_(memory),
      expected_(expected) {
  report_.start = clock.Now();
}

void CheckRun::Add(const MetricDesc& desc, absl::Span<const Label> labels, double value) {
  FLEET_ASSERT(&desc >= declared_.begin() && &desc < declared_.end());
  report_.samples.Add(desc, labels, value);
}

void CheckRun::AddNamed(const MetricDesc& desc, absl::string_view rest, double value,
                        absl::Span<const Label> labels) {
  FLEET_ASSERT(&desc >= declared_.begin() && &desc < declared_.end());
  report_.samples.AddNamed(desc, rest, labels, value);
}

void CheckRun::AddRaw(const SampleSet::Family& family, absl::string_view labels, double value) {
  bool covered = false;
  for (const MetricDesc& desc : declared_) {
    absl::string_view prefix = desc.name;
    covered =
        covered || (absl::ConsumeSuffix(&prefix, "*") && absl::StartsWith(family.name, prefix));
  }
  FLEET_ASSERT(covered);
  report_.samples.AddRaw(family, labels, value);
}

Item& CheckRun::AddItem(absl::string_view name, Verdict verdict, absl::string_view reason) {
  Item& item = report_.items.emplace_back();
  item.name = std::string(name);
  item.verdict = verdict;
  item.reason = std::string(reason);
  return item;
}

Item& CheckRun::AddUnknownItem(absl::string_view name, UnknownKind kind, absl::string_view reason) {
  Item& item = AddItem(name, Verdict::kUnknown, reason);
  item.unknown = kind;
  return item;
}

void CheckRun::Raise(Verdict verdict, absl::string_view reason, UnknownKind kind) {
  if (!IsWorse(verdict, report_.verdict)) return;
  report_.verdict = verdict;
  report_.unknown = kind;
  report_.reason = std::string(reason);
}

}  // namespace fleet::agent
