#include "common/sample_set.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/labels.h"
#include "common/status_macros.h"

namespace fleet {
namespace {

/// Instead of the number of labels: their text is not made of the values as they stand.
constexpr uint8_t kEscaped = 0xFF;

/// What a family's name starts with; all of it without a wildcard.
absl::string_view Stem(const MetricDesc& desc) { return absl::StripSuffix(desc.name, "*"); }

/// Whether `text`, known to hold as many labels and no escapes, is what AppendLabels writes. No
/// value with a quote or a newline can match: there is no quote left for it, and never a newline.
bool IsTextOf(absl::string_view text, absl::Span<const Label> labels) {
  // Beside name and value, a label is `=""` and all but the first a comma.
  size_t size = labels.empty() ? 0 : 4 * labels.size() - 1;
  for (const Label& label : labels) size += label.name.size() + label.value.size();
  if (size != text.size()) return false;
  const char* at = text.data();
  const auto take = [&at](absl::string_view part) {
    const bool same = part.empty() || std::memcmp(at, part.data(), part.size()) == 0;
    at += part.size();
    return same;
  };
  for (size_t i = 0; i < labels.size(); ++i) {
    if (i > 0 && !take(",")) return false;
    if (!take(labels[i].name) || !take("=\"") || !take(labels[i].value) || !take("\"")) {
      return false;
    }
  }
  return true;
}

}  // namespace

struct SampleSet::Shape {
  std::vector<Family> families;
  /// The desc that families[i] was made from; null for AddRaw.
  std::vector<const MetricDesc*> descs;
  std::vector<Series> series;
  std::vector<uint8_t> label_counts;  // of series[i], or kEscaped
  std::string text;
  uint32_t last_family = 0;

  absl::string_view Labels(size_t i) const {
    return absl::string_view(text).substr(series[i].labels_begin, series[i].labels_size);
  }

  /// How many families the first `count` series are of: they are numbered as they first appear.
  size_t FamiliesOf(size_t count) const {
    if (count == series.size()) return families.size();
    uint32_t size = 0;
    for (size_t i = 0; i < count; ++i) size = std::max(size, series[i].family + 1);
    return size;
  }
  size_t TextOf(size_t count) const {
    return count == 0 ? 0 : series[count - 1].labels_begin + series[count - 1].labels_size;
  }

  /// The first `count` series by themselves.
  std::unique_ptr<Shape> First(size_t count) const {
    const auto at = [](size_t size) { return static_cast<ptrdiff_t>(size); };
    auto first = std::make_unique<Shape>();
    const size_t kept = FamiliesOf(count);
    first->families.assign(families.begin(), families.begin() + at(kept));
    first->descs.assign(descs.begin(), descs.begin() + at(kept));
    first->series.assign(series.begin(), series.begin() + at(count));
    first->label_counts.assign(label_counts.begin(), label_counts.begin() + at(count));
    first->text = text.substr(0, TextOf(count));
    if (count > 0) first->last_family = series[count - 1].family;
    return first;
  }

  uint32_t FamilyIndex(const MetricDesc& desc, absl::string_view rest) {
    if (!absl::EndsWith(desc.name, "*")) {
      // Checks add one family after the other or round-robin over a few: look near the last first.
      for (size_t step = 0; step < descs.size(); ++step) {
        const size_t i = (last_family + step) % descs.size();
        if (descs[i] == &desc) return static_cast<uint32_t>(i);
      }
      families.push_back({std::string(desc.name), desc.type, std::string(desc.help)});
      descs.push_back(&desc);
      return static_cast<uint32_t>(families.size() - 1);
    }
    std::string name = absl::StrCat(Stem(desc), rest);
    for (size_t i = families.size(); i-- > 0;) {
      if (families[i].name == name) return static_cast<uint32_t>(i);
    }
    families.push_back(
        {std::move(name), desc.type, absl::StrReplaceAll(desc.help, {{"%s", rest}})});
    descs.push_back(&desc);
    return static_cast<uint32_t>(families.size() - 1);
  }

  uint32_t FamilyIndex(const Family& family) {
    for (size_t i = families.size(); i-- > 0;) {
      if (families[i].name == family.name) return static_cast<uint32_t>(i);
    }
    families.push_back(family);
    descs.push_back(nullptr);
    return static_cast<uint32_t>(families.size() - 1);
  }

  /// Adds the series whose labels are the text from `begin` on.
  void Append(uint32_t family, size_t begin, size_t labels) {
    const absl::string_view written = absl::string_view(text).substr(begin);
    const bool plain = labels < kEscaped && !absl::StrContains(written, '\\');
    series.push_back({family, static_cast<uint32_t>(begin), static_cast<uint32_t>(written.size())});
    label_counts.push_back(plain ? static_cast<uint8_t>(labels) : kEscaped);
    last_family = family;
  }
};

SampleSet::SampleSet() = default;
SampleSet::SampleSet(const SampleSet& other)
    : own_(other.own_ == nullptr ? nullptr : std::make_unique<Shape>(*other.own_)),
      shared_(other.shared_),
      values_(other.values_) {}

SampleSet& SampleSet::operator=(const SampleSet& other) {
  if (this != &other) *this = SampleSet(other);
  return *this;
}

SampleSet::SampleSet(SampleSet&& other) noexcept = default;
SampleSet& SampleSet::operator=(SampleSet&& other) noexcept = default;
SampleSet::~SampleSet() = default;

const SampleSet::Shape& SampleSet::shape() const {
  static const Shape kEmpty;
  return own_ != nullptr ? *own_ : shared_ != nullptr ? *shared_ : kEmpty;
}

SampleSet::Shape& SampleSet::Own() {
  if (own_ == nullptr) {
    own_ = shared_ == nullptr ? std::make_unique<Shape>() : shared_->First(size());
    shared_.reset();
  }
  return *own_;
}

SampleSet SampleSet::Next() {
  if (own_ != nullptr) shared_ = std::move(own_);
  SampleSet next;
  next.shared_ = shared_;
  next.values_.reserve(size());
  return next;
}

void SampleSet::Clear() {
  own_.reset();
  shared_.reset();
  values_.clear();
}

void SampleSet::SetValues(absl::Span<const double> values) {
  FLEET_ASSERT(values.size() == values_.size());
  std::copy(values.begin(), values.end(), values_.begin());
}

absl::Span<const SampleSet::Family> SampleSet::families() const {
  return absl::MakeConstSpan(shape().families).subspan(0, shape().FamiliesOf(size()));
}

absl::Span<const SampleSet::Series> SampleSet::series() const {
  return absl::MakeConstSpan(shape().series).subspan(0, size());
}

absl::string_view SampleSet::name(size_t i) const {
  return shape().families[shape().series[i].family].name;
}

absl::string_view SampleSet::labels(size_t i) const { return shape().Labels(i); }

absl::string_view SampleSet::text() const {
  return absl::string_view(shape().text).substr(0, shape().TextOf(size()));
}

bool SampleSet::SameSeries(const SampleSet& other) const {
  if (size() != other.size()) return false;
  if (size() == 0 || (shared_ != nullptr && shared_ == other.shared_)) return true;
  const absl::Span<const Family> ours = families();
  const absl::Span<const Family> theirs = other.families();
  if (ours.size() != theirs.size() || text() != other.text()) return false;
  // Three whole numbers without padding.
  static_assert(sizeof(Series) == 3 * sizeof(uint32_t));
  if (std::memcmp(series().data(), other.series().data(), size() * sizeof(Series)) != 0) {
    return false;
  }
  for (size_t i = 0; i < ours.size(); ++i) {
    // A desc lasts as long as the program: the same one is the same family, or with a wildcard
    // the same but for its name.
    const MetricDesc* const desc = shape().descs[i];
    if (desc == nullptr || desc != other.shape().descs[i]) {
      if (ours[i] != theirs[i]) return false;
    } else if (desc->name.back() == '*' && ours[i].name != theirs[i].name) {
      return false;
    }
  }
  return true;
}

bool SampleSet::Expects(const MetricDesc& desc, absl::string_view rest,
                        absl::Span<const Label> labels) const {
  const size_t i = size();
  if (shared_ == nullptr || i >= shared_->series.size()) return false;
  const uint32_t family = shared_->series[i].family;
  if (shared_->descs[family] != &desc) return false;
  if (!rest.empty()) {
    absl::string_view name = shared_->families[family].name;
    name.remove_prefix(Stem(desc).size());
    if (name != rest) return false;
  }
  if (shared_->label_counts[i] != kEscaped) {
    return shared_->label_counts[i] == labels.size() && IsTextOf(shared_->Labels(i), labels);
  }
  std::string text;
  AppendLabels(labels, text);
  return text == shared_->Labels(i);
}

void SampleSet::Add(const MetricDesc& desc, absl::Span<const Label> labels, double value) {
  FLEET_ASSERT(!absl::EndsWith(desc.name, "*"));
  if (!Expects(desc, "", labels)) {
    Shape& own = Own();
    const uint32_t family = own.FamilyIndex(desc, "");
    const size_t begin = own.text.size();
    AppendLabels(labels, own.text);
    own.Append(family, begin, labels.size());
  }
  values_.push_back(value);
}

void SampleSet::AddNamed(const MetricDesc& desc, absl::string_view rest,
                         absl::Span<const Label> labels, double value) {
  FLEET_ASSERT(absl::EndsWith(desc.name, "*") && !rest.empty());
  if (!Expects(desc, rest, labels)) {
    Shape& own = Own();
    const uint32_t family = own.FamilyIndex(desc, rest);
    const size_t begin = own.text.size();
    AppendLabels(labels, own.text);
    own.Append(family, begin, labels.size());
  }
  values_.push_back(value);
}

void SampleSet::AddRaw(const Family& family, absl::string_view labels, double value) {
  const size_t i = size();
  // By the first that came, a family is known by its name alone.
  const bool expected = shared_ != nullptr && i < shared_->series.size() &&
                        shared_->families[shared_->series[i].family].name == family.name &&
                        shared_->families[shared_->series[i].family] == family &&
                        shared_->Labels(i) == labels;
  if (!expected) {
    Shape& own = Own();
    const uint32_t index = own.FamilyIndex(family);
    const size_t begin = own.text.size();
    own.text.append(labels.data(), labels.size());
    own.Append(index, begin, kEscaped);
  }
  values_.push_back(value);
}

}  // namespace fleet
