#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/host_fs.h"
#include "agent/parse/rtnl_link.h"
#include "common/clock.h"
#include "common/scoped_fd.h"

namespace fleet::agent {

/// One network link as /sys/class/net shows it: an attribute that the kernel refuses for this link
/// or in this state (the carrier of a link that is down) is missing.
struct Link {
  std::string name;
  bool physical = false;  // has a device of its own (PCI, USB, virtio), is not made by software
  bool admin_up = false;  // IFF_UP
  std::string operstate;  // unknown, notpresent, down, lowerlayerdown, testing, dormant, up
  std::string address;    // "02:fc:00:00:00:01"
  std::string broadcast;
  std::string duplex;  // full, half, unknown; empty without
  std::string alias;
  std::optional<int64_t> address_assign_type;
  std::optional<int64_t> carrier;
  std::optional<int64_t> carrier_changes;
  std::optional<int64_t> carrier_up_changes;
  std::optional<int64_t> carrier_down_changes;
  std::optional<int64_t> device_id;
  std::optional<int64_t> dormant;
  std::optional<int64_t> flags;
  std::optional<int64_t> index;
  std::optional<int64_t> link;
  std::optional<int64_t> link_mode;
  std::optional<int64_t> mtu_bytes;
  std::optional<int64_t> name_assign_type;
  std::optional<int64_t> group;
  std::optional<int64_t> transmit_queue_length;
  std::optional<int64_t> type;
  std::optional<int64_t> speed_megabits;  // per second; -1 when the driver does not know
  std::optional<LinkCounters> counters;
  bool operator==(const Link&) const = default;

  bool has_carrier() const { return carrier.value_or(0) == 1; }
};

/// Lists the host's links. On the running machine one rtnetlink dump brings nearly everything, and
/// the few attributes that only sysfs has are read again when the kernel describes the link
/// differently or after a minute; on a fixture host, or without netlink, all is read from sysfs.
/// Used by one thread at a time.
class LinkReader {
 public:
  explicit LinkReader(HostFs fs) : fs_(std::move(fs)) {}

  /// Links in the kernel's order. Errors: kNotFound without /sys/class/net, else by errno.
  absl::StatusOr<std::vector<Link>> Read(SteadyTime now);

  /// As Read, from sysfs and /proc/net/dev alone.
  absl::StatusOr<std::vector<Link>> ReadSysfs() const;

 private:
  /// What only sysfs knows about a link.
  struct Extra {
    bool physical = false;
    std::string duplex;
    std::optional<int64_t> address_assign_type;
    std::optional<int64_t> device_id;
    std::optional<int64_t> flags;
    std::optional<int64_t> name_assign_type;
    std::optional<int64_t> speed_megabits;
  };
  struct Cached {
    RtnlLinkState state;
    Extra extra;
    SteadyTime read_at;
  };

  absl::StatusOr<std::vector<Link>> ReadNetlink(SteadyTime now);
  Extra ReadExtra(const std::string& name, bool admin_up) const;
  std::optional<int64_t> Number(const std::string& name, absl::string_view attribute) const;
  std::string Text(const std::string& name, absl::string_view attribute) const;

  absl::StatusOr<std::vector<RtnlLink>> DumpLinks();

  const HostFs fs_;
  ScopedFd netlink_;                 // kept open from dump to dump; closed after an error
  std::string datagram_;             // kept for its memory
  std::map<int32_t, Cached> cache_;  // by index
};

}  // namespace fleet::agent
