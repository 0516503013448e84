#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "collector/http/http.h"
#include "collector/state.h"
#include "common/metric.h"

namespace fleet::collector {

enum class ExpositionFormat { kText, kOpenMetrics };

/// The Content-Type of a format: text 0.0.4 or OpenMetrics 1.0.
absl::string_view ContentType(ExpositionFormat format);

/// What the collector itself says of hosts, checks and items, beside the agents' series.
absl::Span<const MetricDesc> BuiltinMetrics();

/// How OpenMetrics shows a family: a counter's without its `_total`; a counter whose name lacks it,
/// or would then be another family's (`exists`), is `unknown`.
struct ShownFamily {
  absl::string_view name;
  MetricType type;
};
ShownFamily ShowInOpenMetrics(absl::string_view name, MetricType type,
                              absl::FunctionRef<bool(absl::string_view)> exists);

/// The HELP and TYPE lines of a family.
std::string FamilyHeader(const ShownFamily& family, absl::string_view help,
                         ExpositionFormat format);

/// Renders a snapshot piece by piece: memory is bounded by the piece, whatever the fleet's size.
/// Each family once, sorted by name, with its HELP and TYPE.
/// Not thread-safe.
class Exposition {
 public:
  Exposition(FleetView view, ExpositionFormat format);
  ~Exposition();
  Exposition(const Exposition&) = delete;
  Exposition& operator=(const Exposition&) = delete;

  /// The next piece, whole lines of up to 64 KiB; empty at the end. Valid until the next call.
  absl::string_view Next();

 private:
  struct Row;
  struct Group;
  struct Part;
  struct Family;
  class Writer;

  void Collect();
  void SortFamilies();
  void ChooseTypes();
  bool WriteHeader(const Family& family, Writer& out) const;
  bool WriteSeries(const Family& family, Writer& out);
  bool WriteBuiltin(const Family& family, Writer& out);

  const FleetView view_;
  const ExpositionFormat format_;
  std::vector<Group> groups_;
  std::vector<Family> families_;
  std::unique_ptr<char[]> buffer_;

  // Where the next line comes from.
  size_t family_ = 0;
  bool header_written_ = false;
  size_t part_ = 0;
  size_t row_ = 0;       // of a builtin: the host
  uint32_t series_ = 0;  // of a builtin: lines of the host already written
  bool ended_ = false;
};

/// An Exposition as the HTTP server sends it, gzipped where wanted.
std::unique_ptr<BodySource> MakeExpositionBody(FleetView view, ExpositionFormat format, bool gzip);

}  // namespace fleet::collector
