#include "common/config_loader.h"

#include <fcntl.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <unistd.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <set>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/escape.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"
#include "common/units.h"
#include "fleet/v1/config.pb.h"

namespace fleet {
namespace {

/// The first line with bytes that are no UTF-8, or with a NUL; 0: none. yaml-cpp takes those for
/// UTF-16 or UTF-32, and some of them it reads for ever.
int LineThatIsNoText(absl::string_view text) {
  int line = 1;
  while (!text.empty()) {
    const size_t bytes = Utf8SequenceSize(text);
    if (bytes == 0 || text.front() == '\0') return line;
    if (text.front() == '\n') ++line;
    text.remove_prefix(bytes);
  }
  return 0;
}

/// Where the documents of a text begin. YAML::LoadAll is of no use for that: at a token that no
/// document begins with, a comma, yaml-cpp 0.7 finds one empty document after the other for ever.
class DocumentStarts final : public YAML::EventHandler {
 public:
  const std::vector<YAML::Mark>& marks() const { return marks_; }

  void OnDocumentStart(const YAML::Mark& mark) override { marks_.push_back(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  std::vector<YAML::Mark> marks_;
};

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

constexpr size_t kListItemsMax = 10000;
/// Every whole number up to here is a double.
constexpr double kWholeMax = 9007199254740992;

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t size_max) {
  const ScopedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  std::string text(size_max + 1, '\0');
  size_t used = 0;
  while (used < text.size()) {
    const ssize_t got = ::read(fd.get(), text.data() + used, text.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", path));
    if (got == 0) break;
    used += static_cast<size_t>(got);
  }
  if (used > size_max) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is larger than ", size_max, " bytes"));
  }
  text.resize(used);
  return text;
}

/// Edits that turn `a` into `b`, by the two-row method.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

bool IsInlined(const FieldDescriptor* field) { return field->options().GetExtension(v1::inlined); }

/// The fields a YAML map may name, inlined messages looked through.
void CollectKeys(const Descriptor* type, std::vector<std::string>& keys) {
  for (int i = 0; i < type->field_count(); ++i) {
    if (IsInlined(type->field(i))) {
      CollectKeys(type->field(i)->message_type(), keys);
    } else {
      keys.push_back(type->field(i)->name());
    }
  }
}

}  // namespace

std::string ConfigProblem::ToString() const {
  return absl::StrCat(file, line > 0 ? absl::StrCat(":", line) : "", ": ", field,
                      field.empty() ? "" : ": ", message);
}

/// Walks one YAML tree beside one message.
class ConfigLoader::Reader {
 public:
  explicit Reader(ConfigLoader& loader) : loader_(loader) {}

  void ReadMessage(const YAML::Node& node, const std::string& path, Message& message) {
    const Descriptor* type = message.GetDescriptor();
    const std::string& scalar = type->options().GetExtension(v1::message_scalar);
    if (node.IsScalar() && !scalar.empty()) {
      ReadField(node, path, type->FindFieldByName(scalar), message);
      return;
    }
    const FieldDescriptor* schedule = type->FindFieldByName("schedule");
    if (bool enabled = true;
        schedule != nullptr && node.IsScalar() && YAML::convert<bool>::decode(node, enabled)) {
      // "minio: off" for "minio: {enabled: false}".
      Message* inner = message.GetReflection()->MutableMessage(&message, schedule);
      inner->GetReflection()->SetBool(inner, inner->GetDescriptor()->FindFieldByName("enabled"),
                                      enabled);
      return;
    }
    if (node.IsNull()) return;
    if (!node.IsMap()) {
      Problem(node, path, "expected a map of keys");
      return;
    }
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "?";
      const std::string field_path = path.empty() ? key : absl::StrCat(path, ".", key);
      loader_.lines_.emplace(field_path, entry.first.Mark().line + 1);
      if (!seen.insert(key).second) {
        Problem(entry.first, field_path, "stands here twice");
        continue;
      }
      ReadKey(entry.first, entry.second, key, field_path, message);
    }
  }

  void Problem(const YAML::Node& node, const std::string& path, const std::string& message) {
    loader_.problems_.push_back({loader_.file_, node.Mark().line + 1, path, message});
  }

 private:
  void ReadKey(const YAML::Node& key_node, const YAML::Node& value, const std::string& key,
               const std::string& path, Message& message) {
    const Descriptor* type = message.GetDescriptor();
    if (const FieldDescriptor* field = type->FindFieldByName(key);
        field != nullptr && !IsInlined(field)) {
      ReadFieldOrList(value, path, field, message);
      return;
    }
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* inlined = type->field(i);
      if (!IsInlined(inlined) || inlined->message_type()->FindFieldByName(key) == nullptr) continue;
      Message* inner = message.GetReflection()->MutableMessage(&message, inlined);
      ReadFieldOrList(value, path, inlined->message_type()->FindFieldByName(key), *inner);
      return;
    }
    Problem(key_node, path, UnknownKey(type, key));
  }

  static std::string UnknownKey(const Descriptor* type, const std::string& key) {
    std::vector<std::string> keys;
    CollectKeys(type, keys);
    std::string best;
    size_t distance = std::max<size_t>(2, key.size() / 3) + 1;
    for (const std::string& known : keys) {
      if (const size_t edits = EditDistance(key, known); edits < distance) {
        distance = edits;
        best = known;
      }
    }
    if (!best.empty()) return absl::StrCat("unknown key; did you mean \"", best, "\"?");
    std::sort(keys.begin(), keys.end());
    return absl::StrCat("unknown key; expected one of: ", absl::StrJoin(keys, ", "));
  }

  void ReadFieldOrList(const YAML::Node& node, const std::string& path,
                       const FieldDescriptor* field, Message& message) {
    if (field->is_map()) {
      ReadMap(node, path, field, message);
    } else if (field->is_repeated() && node.IsSequence()) {
      if (node.size() > kListItemsMax) {
        Problem(node, path, absl::StrCat("a list of more than ", kListItemsMax, " entries"));
        return;
      }
      for (size_t i = 0; i < node.size(); ++i) {
        const std::string item_path = absl::StrCat(path, "[", i, "]");
        loader_.lines_.emplace(item_path, node[i].Mark().line + 1);
        ReadField(node[i], item_path, field, message);
      }
    } else {
      ReadField(node, path, field, message);
    }
  }

  void ReadMap(const YAML::Node& node, const std::string& path, const FieldDescriptor* field,
               Message& message) {
    if (node.IsNull()) return;
    if (!node.IsMap()) {
      Problem(node, path, "expected a map of names");
      return;
    }
    std::set<std::string> seen;
    const Descriptor* entry_type = field->message_type();
    for (const auto& item : node) {
      const std::string key = item.first.IsScalar() ? item.first.Scalar() : "?";
      const std::string item_path = absl::StrCat(path, ".", key);
      loader_.lines_.emplace(item_path, item.first.Mark().line + 1);
      if (!seen.insert(key).second) {
        Problem(item.first, item_path, "stands here twice");
        continue;
      }
      Message* entry = message.GetReflection()->AddMessage(&message, field);
      entry->GetReflection()->SetString(entry, entry_type->map_key(), key);
      ReadField(item.second, item_path, entry_type->map_value(), *entry);
    }
  }

  void ReadField(const YAML::Node& node, const std::string& path, const FieldDescriptor* field,
                 Message& message) {
    const auto* reflection = message.GetReflection();
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      Message* inner = field->is_repeated() ? reflection->AddMessage(&message, field)
                                            : reflection->MutableMessage(&message, field);
      ReadMessage(node, path, *inner);
      return;
    }
    if (!node.IsScalar()) {
      Problem(node, path, absl::StrCat("expected ", Expected(field)));
      return;
    }
    const absl::Status status = SetScalar(node, field, message);
    if (!status.ok()) Problem(node, path, std::string(status.message()));
  }

  static std::string Expected(const FieldDescriptor* field) {
    switch (field->options().GetExtension(v1::unit)) {
      case v1::UNIT_SECONDS:
        return "a duration such as 10s";
      case v1::UNIT_RATIO:
        return "a ratio such as 85%";
      case v1::UNIT_BYTES:
        return "a size such as 64MiB";
      default:
        break;
    }
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return "true or false";
      case FieldDescriptor::CPPTYPE_STRING:
        return "a text";
      default:
        return "a number";
    }
  }

  /// The number that a scalar stands for, its unit read.
  static absl::StatusOr<double> Number(const std::string& text, const FieldDescriptor* field) {
    switch (field->options().GetExtension(v1::unit)) {
      case v1::UNIT_SECONDS: {
        FLEET_ASSIGN_OR_RETURN(const absl::Duration span, ParseDuration(text));
        return absl::ToDoubleSeconds(span);
      }
      case v1::UNIT_RATIO:
        return ParseRatio(text);
      case v1::UNIT_BYTES: {
        FLEET_ASSIGN_OR_RETURN(const int64_t bytes, ParseBytes(text));
        return static_cast<double>(bytes);
      }
      default:
        break;
    }
    double number = 0;
    if (!absl::SimpleAtod(text, &number) || !(number > -1e300 && number < 1e300)) {
      return absl::InvalidArgumentError(absl::StrCat("expected a number, got ", Quote(text)));
    }
    return number;
  }

  static absl::Status SetScalar(const YAML::Node& node, const FieldDescriptor* field,
                                Message& message) {
    const auto* reflection = message.GetReflection();
    const std::string& text = node.Scalar();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        if (field->is_repeated()) {
          reflection->AddString(&message, field, text);
        } else {
          reflection->SetString(&message, field, text);
        }
        return absl::OkStatus();
      case FieldDescriptor::CPPTYPE_BOOL: {
        bool value = false;
        if (!YAML::convert<bool>::decode(node, value)) {
          return absl::InvalidArgumentError(
              absl::StrCat("expected true or false, got ", Quote(text)));
        }
        reflection->SetBool(&message, field, value);
        return absl::OkStatus();
      }
      default:
        break;
    }
    FLEET_ASSIGN_OR_RETURN(const double number, Number(text, field));
    const bool whole = number >= 0 && number <= kWholeMax && std::trunc(number) == number;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_DOUBLE:
        reflection->SetDouble(&message, field, number);
        return absl::OkStatus();
      case FieldDescriptor::CPPTYPE_UINT32:
        if (!whole || number > std::numeric_limits<uint32_t>::max()) break;
        if (field->is_repeated()) {
          reflection->AddUInt32(&message, field, static_cast<uint32_t>(number));
        } else {
          reflection->SetUInt32(&message, field, static_cast<uint32_t>(number));
        }
        return absl::OkStatus();
      case FieldDescriptor::CPPTYPE_INT64:
        if (!whole) break;
        reflection->SetInt64(&message, field, static_cast<int64_t>(number));
        return absl::OkStatus();
      default:
        FLEET_ASSERT(false && "a config field of a type that the loader does not know");
    }
    return absl::InvalidArgumentError(
        absl::StrCat("expected a whole number from 0, got ", Quote(text)));
  }

  ConfigLoader& loader_;
};

void ConfigLoader::LoadFile(const std::string& path, Message& message) {
  const absl::StatusOr<std::string> text = ReadWholeFile(path, kFileBytesMax);
  if (!text.ok()) {
    file_ = path;
    problems_.push_back({path, 0, "", std::string(text.status().message())});
    return;
  }
  LoadText(*text, path, message);
}

void ConfigLoader::LoadText(absl::string_view text, const std::string& file, Message& message) {
  file_ = file;
  if (const int line = LineThatIsNoText(text); line > 0) {
    problems_.push_back({file, line, "", "expected text in UTF-8"});
    return;
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    DocumentStarts starts;
    if (!parser.HandleNextDocument(starts)) return;
    if (parser.HandleNextDocument(starts)) {
      const YAML::Mark& first = starts.marks().front();
      const YAML::Mark& second = starts.marks().back();
      problems_.push_back({file, second.line + 1, "",
                           first.pos == second.pos
                               ? "expected a key"
                               : "expected one YAML document, here another begins"});
      return;
    }
    Reader(*this).ReadMessage(YAML::Load(std::string(text)), "", message);
  } catch (const YAML::Exception& error) {
    problems_.push_back({file, error.mark.line + 1, "", OneLine(error.msg)});
  }
}

ConfigProblem ConfigLoader::At(const std::string& field, const std::string& message) {
  // The nearest enclosing field that the text names has the line.
  std::string known = field;
  while (!known.empty() && lines_.count(known) == 0) {
    const size_t cut = known.find_last_of(".[");
    known = cut == std::string::npos ? "" : known.substr(0, cut);
  }
  return {file_, known.empty() ? 0 : lines_[known], field, message};
}

void ConfigLoader::AddProblem(const std::string& field, const std::string& message) {
  problems_.push_back(At(field, message));
}

void ConfigLoader::AddNote(const std::string& field, const std::string& message) {
  notes_.push_back(At(field, message));
}

std::string ConfigLoader::Problems() const {
  return absl::StrJoin(problems_, "\n", [](std::string* out, const ConfigProblem& problem) {
    absl::StrAppend(out, problem.ToString());
  });
}

}  // namespace fleet
