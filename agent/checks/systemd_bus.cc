#include "agent/checks/systemd_bus.h"

#include <systemd/sd-bus.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr char kService[] = "org.freedesktop.systemd1";
constexpr char kPath[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager";
constexpr char kUnit[] = "org.freedesktop.systemd1.Unit";
constexpr char kServiceInterface[] = "org.freedesktop.systemd1.Service";
constexpr absl::Duration kScanInterval = absl::Seconds(29);
constexpr size_t kScanServicesMax = 16;
constexpr size_t kDescribedUnitsMax = 32;
constexpr size_t kUnitsMax = 8192;

struct BusCloser {
  void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
};
using BusPtr = std::unique_ptr<sd_bus, BusCloser>;
struct MessageCloser {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using MessagePtr = std::unique_ptr<sd_bus_message, MessageCloser>;
struct BusError {
  sd_bus_error error = {nullptr, nullptr, 0};  // as SD_BUS_ERROR_NULL, which is C
  BusError() = default;
  BusError(const BusError&) = delete;
  ~BusError() { sd_bus_error_free(&error); }
};

/// `result` is a negative errno, as sd-bus returns it.
absl::Status ToStatus(int result, absl::string_view what, const BusError* error = nullptr) {
  std::string message = absl::StrCat("systemd: ", what);
  if (error != nullptr && error->error.message != nullptr) {
    absl::StrAppend(&message, ": ", OneLine(error->error.message));
  }
  switch (-result) {
    case ETIMEDOUT:
      return absl::DeadlineExceededError(message + ": no answer in time");
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    case ECONNREFUSED:
    case ECONNRESET:
    case ENOTCONN:
    case EPIPE:
    case ENOENT:
    case ECHILD:
      return absl::UnavailableError(message + ": does not answer");
    default:
      return absl::ErrnoToStatus(-result, message);
  }
}

/// A path inside a D-Bus address: everything but the plain characters is percent-encoded.
std::string BusAddress(absl::string_view path) {
  std::string address = "unix:path=";
  for (const char c : path) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-_/.\\*", c)) {
      address.push_back(c);
    } else {
      absl::StrAppendFormat(&address, "%%%02x", static_cast<unsigned char>(c));
    }
  }
  return address;
}

/// One row of ListUnits: a(ssssssouso).
struct Row {
  std::string name, load, active, sub, path;
};

class SystemdBus final : public SystemdReader {
 public:
  SystemdBus(HostFs fs, Clock& clock) : fs_(std::move(fs)), clock_(clock) {}

  absl::StatusOr<SystemdState> Read(absl::Span<const std::string> required,
                                    SteadyTime deadline) override {
    deadline_ = deadline;
    const bool kept = bus_ != nullptr;
    absl::StatusOr<SystemdState> state = Ask(required);
    if (state.ok()) return state;
    bus_.reset();
    // A connection of the run before may have ended meanwhile: systemd or its bus was restarted.
    if (!kept || !absl::IsUnavailable(state.status())) return state;
    state = Ask(required);
    if (!state.ok()) bus_.reset();
    return state;
  }

 private:
  absl::StatusOr<SystemdState> Ask(absl::Span<const std::string> required) {
    if (bus_ == nullptr) FLEET_RETURN_IF_ERROR(Connect());
    SystemdState state;
    FLEET_ASSIGN_OR_RETURN(state.system_state, StringProperty(kPath, kManager, "SystemState"));
    if (version_.empty()) {
      FLEET_ASSIGN_OR_RETURN(version_, StringProperty(kPath, kManager, "Version"));
    }
    state.version = version_;
    FLEET_ASSIGN_OR_RETURN(const uint32_t failed, NumberProperty(kPath, kManager, "NFailedUnits"));
    if (failed > 0) {
      FLEET_ASSIGN_OR_RETURN(const std::vector<Row> rows,
                             ListUnits("ListUnitsByPatterns", {"failed"}, {}));
      FLEET_RETURN_IF_ERROR(Describe(rows, state.failed));
    }
    if (!required.empty()) {
      FLEET_ASSIGN_OR_RETURN(const std::vector<Row> rows,
                             ListUnits("ListUnitsByNames", {required.begin(), required.end()}, {}));
      FLEET_RETURN_IF_ERROR(Describe(rows, state.required));
    }
    if (clock_.SteadyNow() - scanned_ >= kScanInterval || !scanned_once_) {
      FLEET_RETURN_IF_ERROR(Scan());
      scanned_ = clock_.SteadyNow();
      scanned_once_ = true;
    }
    state.services_active = services_active_;
    for (const auto& [name, restarts] : restarts_) {
      if (restarts.count > 0) state.restarts.push_back(restarts);
    }
    return state;
  }

  absl::Status Connect() {
    absl::Status status = absl::NotFoundError("systemd: no bus socket below /run");
    const std::pair<absl::string_view, bool> sockets[] = {{"run/dbus/system_bus_socket", true},
                                                          {"run/systemd/private", false}};
    for (const auto& [socket, is_bus] : sockets) {
      if (!fs_.Exists(socket)) continue;
      status = ConnectTo(fs_.Path(socket), is_bus);
      if (status.ok()) return status;
    }
    return status;
  }

  absl::Status ConnectTo(const std::string& path, bool is_bus) {
    sd_bus* raw = nullptr;
    if (const int r = sd_bus_new(&raw); r < 0) return ToStatus(r, "new bus");
    BusPtr bus(raw);
    if (const int r = sd_bus_set_address(raw, BusAddress(path).c_str()); r < 0) {
      return ToStatus(r, absl::StrCat("address ", path));
    }
    if (const int r = sd_bus_set_bus_client(raw, is_bus ? 1 : 0); r < 0) return ToStatus(r, "bus");
    if (const int r = sd_bus_start(raw); r < 0) return ToStatus(r, absl::StrCat("connect ", path));
    // sd_bus_call would wait for the handshake without a bound of ours.
    while (true) {
      const int ready = sd_bus_is_ready(raw);
      if (ready > 0) break;
      if (ready < 0) return ToStatus(ready, absl::StrCat("connect ", path));
      const int progress = sd_bus_process(raw, nullptr);
      if (progress < 0) return ToStatus(progress, absl::StrCat("connect ", path));
      if (progress > 0) continue;
      const uint64_t left = MicrosecondsLeft();
      if (left == 0) return ToStatus(-ETIMEDOUT, absl::StrCat("connect ", path));
      if (const int r = sd_bus_wait(raw, left); r < 0 && r != -EINTR) {
        return ToStatus(r, absl::StrCat("connect ", path));
      }
    }
    bus_ = std::move(bus);
    return absl::OkStatus();
  }

  uint64_t MicrosecondsLeft() const {
    const int64_t left = absl::ToInt64Microseconds(deadline_ - clock_.SteadyNow());
    return left > 0 ? static_cast<uint64_t>(left) : 0;
  }

  /// Sends `message` and waits for the reply until the deadline.
  absl::StatusOr<MessagePtr> Call(sd_bus_message* message, absl::string_view what) {
    const uint64_t left = MicrosecondsLeft();
    if (left == 0) return ToStatus(-ETIMEDOUT, what);
    BusError error;
    sd_bus_message* reply = nullptr;
    const int r = sd_bus_call(bus_.get(), message, left, &error.error, &reply);
    if (r < 0) return ToStatus(r, what, &error);
    return MessagePtr(reply);
  }

  /// Asks for one property; the reply stands inside its variant. `type` is its D-Bus type.
  absl::StatusOr<MessagePtr> Property(const char* path, const char* interface, const char* name,
                                      const char* type) {
    sd_bus_message* raw = nullptr;
    int r = sd_bus_message_new_method_call(bus_.get(), &raw, kService, path,
                                           "org.freedesktop.DBus.Properties", "Get");
    if (r < 0) return ToStatus(r, name);
    const MessagePtr call(raw);
    r = sd_bus_message_append(raw, "ss", interface, name);
    if (r < 0) return ToStatus(r, name);
    FLEET_ASSIGN_OR_RETURN(MessagePtr reply, Call(raw, name));
    r = sd_bus_message_enter_container(reply.get(), 'v', type);
    if (r < 0) return ToStatus(r, name);
    return reply;
  }

  absl::StatusOr<std::string> StringProperty(const char* path, const char* interface,
                                             const char* name) {
    FLEET_ASSIGN_OR_RETURN(const MessagePtr reply, Property(path, interface, name, "s"));
    const char* text = nullptr;
    const int r = sd_bus_message_read_basic(reply.get(), 's', &text);
    if (r < 0) return ToStatus(r, name);
    return std::string(text);
  }

  absl::StatusOr<uint32_t> NumberProperty(const char* path, const char* interface,
                                          const char* name) {
    FLEET_ASSIGN_OR_RETURN(const MessagePtr reply, Property(path, interface, name, "u"));
    uint32_t number = 0;
    const int r = sd_bus_message_read_basic(reply.get(), 'u', &number);
    if (r < 0) return ToStatus(r, name);
    return number;
  }

  /// Calls a Manager method that takes one list of strings, or (ListUnitsByPatterns) two, and
  /// returns units.
  absl::StatusOr<std::vector<Row>> ListUnits(const char* method,
                                             const std::vector<std::string>& first,
                                             const std::vector<std::string>& second) {
    sd_bus_message* raw = nullptr;
    int r = sd_bus_message_new_method_call(bus_.get(), &raw, kService, kPath, kManager, method);
    if (r < 0) return ToStatus(r, method);
    const MessagePtr call(raw);
    r = AppendStrings(raw, first);
    if (r >= 0 && method == absl::string_view("ListUnitsByPatterns")) {
      r = AppendStrings(raw, second);
    }
    if (r < 0) return ToStatus(r, method);
    FLEET_ASSIGN_OR_RETURN(const MessagePtr reply, Call(raw, method));
    return ReadRows(reply.get(), method);
  }

  static int AppendStrings(sd_bus_message* message, const std::vector<std::string>& strings) {
    int r = sd_bus_message_open_container(message, 'a', "s");
    for (size_t i = 0; r >= 0 && i < strings.size(); ++i) {
      r = sd_bus_message_append_basic(message, 's', strings[i].c_str());
    }
    return r < 0 ? r : sd_bus_message_close_container(message);
  }

  static absl::StatusOr<std::vector<Row>> ReadRows(sd_bus_message* reply, absl::string_view what) {
    int r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
    if (r < 0) return ToStatus(r, what);
    std::vector<Row> rows;
    while (true) {
      const char *name, *description, *load, *active, *sub, *following, *path, *job, *job_path;
      uint32_t job_id;
      r = sd_bus_message_read(reply, "(ssssssouso)", &name, &description, &load, &active, &sub,
                              &following, &path, &job_id, &job, &job_path);
      if (r < 0) return ToStatus(r, what);
      if (r == 0) return rows;
      if (rows.size() == kUnitsMax) {
        return absl::ResourceExhaustedError(
            absl::StrCat("systemd: more than ", kUnitsMax, " units"));
      }
      rows.push_back({name, load, active, sub, path});
    }
  }

  /// What the list does not say of units that someone will read about.
  absl::Status Describe(const std::vector<Row>& rows, std::vector<SystemdUnit>& units) {
    for (const Row& row : rows) {
      SystemdUnit& unit = units.emplace_back();
      unit.name = row.name;
      unit.load = row.load;
      unit.active = row.active;
      unit.sub = row.sub;
      if (units.size() > kDescribedUnitsMax || row.load != "loaded") continue;
      FLEET_ASSIGN_OR_RETURN(const MessagePtr reply,
                             Property(row.path.c_str(), kUnit, "StateChangeTimestamp", "t"));
      uint64_t micros = 0;
      if (sd_bus_message_read_basic(reply.get(), 't', &micros) >= 0 && micros > 0) {
        unit.changed = absl::FromUnixMicros(static_cast<int64_t>(micros));
      }
      if (!absl::EndsWith(row.name, ".service")) continue;
      FLEET_ASSIGN_OR_RETURN(unit.type,
                             StringProperty(row.path.c_str(), kServiceInterface, "Type"));
      if (row.active != "failed") continue;
      FLEET_ASSIGN_OR_RETURN(unit.result,
                             StringProperty(row.path.c_str(), kServiceInterface, "Result"));
    }
    return absl::OkStatus();
  }

  /// Updates restarts_: of every service that is restarting just now, and of the next few others.
  absl::Status Scan() {
    FLEET_ASSIGN_OR_RETURN(
        const std::vector<Row> rows,
        ListUnits("ListUnitsByPatterns", {"active", "activating", "reloading", "deactivating"},
                  {"*.service"}));
    services_active_ = 0;
    std::map<std::string, SystemdRestarts> known;
    std::vector<const Row*> due;
    for (const Row& row : rows) {
      if (row.active == "active") ++services_active_;
      SystemdRestarts& restarts = known[row.name];
      const auto found = restarts_.find(row.name);
      if (found != restarts_.end()) restarts = found->second;
      restarts.name = row.name;
      restarts.waiting = absl::StartsWith(row.sub, "auto-restart");
      if (restarts.waiting) due.push_back(&row);
    }
    const size_t waiting = due.size();
    for (size_t i = 0; i < rows.size() && due.size() < waiting + kScanServicesMax; ++i) {
      const Row& row = rows[(scan_next_ + i) % rows.size()];
      if (!known[row.name].waiting) due.push_back(&row);
    }
    scan_next_ = rows.empty() ? 0 : (scan_next_ + kScanServicesMax) % rows.size();
    for (const Row* row : due) {
      const auto count = NumberProperty(row->path.c_str(), kServiceInterface, "NRestarts");
      if (count.ok()) {
        known[row->name].count = *count;
      } else if (absl::IsUnavailable(count.status()) || absl::IsDeadlineExceeded(count.status())) {
        return count.status();
      }  // else: the unit went meanwhile, or this systemd is older than 235
    }
    restarts_ = std::move(known);
    return absl::OkStatus();
  }

  const HostFs fs_;
  Clock& clock_;
  BusPtr bus_;
  SteadyTime deadline_;
  std::string version_;
  SteadyTime scanned_;
  bool scanned_once_ = false;
  size_t scan_next_ = 0;
  uint32_t services_active_ = 0;
  std::map<std::string, SystemdRestarts> restarts_;
};

}  // namespace

std::unique_ptr<SystemdReader> MakeSystemdBus(const HostFs& fs, Clock& clock) {
  return std::make_unique<SystemdBus>(fs, clock);
}

}  // namespace fleet::agent
