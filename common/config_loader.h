#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/secret.h"  // IWYU pragma: export

namespace google::protobuf {
class Message;
}

namespace fleet {

/// One thing wrong with a configuration: where, and what was expected there.
struct ConfigProblem {
  std::string file;
  int line = 0;       // from 1; 0: the file as a whole
  std::string field;  // "checks.disk.warn", "checks.postgres.servers[1].name"
  std::string message;

  /// "agent.yaml:3: checks.disk.warn: expected …".
  std::string ToString() const;
};

/// A YAML text on its way into a config message (proto/fleet/v1/config.proto). Every problem is
/// collected, none ends the work early; what could be read is in the message. Not thread-safe.
class ConfigLoader {
 public:
  static constexpr size_t kFileBytesMax = 1 << 20;

  /// Reads `path` into `message`.
  void LoadFile(const std::string& path, google::protobuf::Message& message);
  /// Reads `text`, which problems call `file`, into `message`.
  void LoadText(absl::string_view text, const std::string& file,
                google::protobuf::Message& message);

  /// Adds a problem that only the caller can know of, at the line where `field` stands.
  void AddProblem(const std::string& field, const std::string& message);

  /// Adds something that is worth knowing but keeps nobody from starting, at the line of `field`.
  void AddNote(const std::string& field, const std::string& message);

  const std::vector<ConfigProblem>& problems() const { return problems_; }
  const std::vector<ConfigProblem>& notes() const { return notes_; }
  /// All problems, one per line; empty when there are none.
  std::string Problems() const;

 private:
  class Reader;

  ConfigProblem At(const std::string& field, const std::string& message);

  std::string file_;
  std::map<std::string, int> lines_;  // of each field that the text names
  std::vector<ConfigProblem> problems_;
  std::vector<ConfigProblem> notes_;
};

}  // namespace fleet
