#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// One counter of the network stack: "TcpExt_ListenDrops".
struct NetstatField {
  absl::string_view name;  // part of the layout
  double value = 0;
  bool operator==(const NetstatField&) const = default;
};

/// Where the kept fields of one file stand, as its names said when they were last read. The names
/// change with the kernel alone, so whoever reads a file again and again keeps its layout, and
/// nothing but the values is taken apart. Empty at first; names that changed are read anew.
struct NetstatLayout {
  struct Field {
    size_t word;       // among the values of its line
    std::string name;  // "TcpExt_ListenDrops"
  };
  struct Names {
    std::string text;      // "TcpExt: SyncookiesSent …", or "Ip6InOctets" in snmp6
    std::string protocol;  // "TcpExt"
    size_t words = 0;
    std::vector<Field> kept;  // in order
  };
  std::vector<Names> lines;
};

/// Whether node_exporter's default --collector.netstat.fields keeps this one of the kernel's some
/// 400 fields: ("TcpExt", "ListenDrops").
bool IsNetstatFieldKept(absl::string_view protocol, absl::string_view field);

/// Parses /proc/net/netstat and /proc/net/snmp: pairs of lines such as
///   Udp: InDatagrams NoPorts InErrors OutDatagrams
///   Udp: 29 0 0 30
/// and returns the fields that IsNetstatFieldKept, in the file's order. `layout` is that of the
/// last text of the same file; the fields are valid until its next use.
///
/// Errors: kInvalidArgument when two lines do not pair or a kept field is no number.
/// Source: snmp_seq_show() in net/ipv4/proc.c
absl::StatusOr<std::vector<NetstatField>> ParseNetstat(absl::string_view text,
                                                       NetstatLayout& layout);

/// Parses /proc/net/snmp6, such as
///   Ip6InOctets                     	128
/// as ParseNetstat does; that field is "Ip6_InOctets". Names without a 6 are skipped.
///
/// Errors: kInvalidArgument when a kept field is no number.
absl::StatusOr<std::vector<NetstatField>> ParseSnmp6(absl::string_view text, NetstatLayout& layout);

}  // namespace fleet::agent
