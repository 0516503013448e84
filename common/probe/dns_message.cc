#include "common/probe/dns_message.h"

#include <ares.h>
#include <ares_nameser.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::probe {
namespace {

constexpr std::array<std::pair<int, const char*>, 10> kTypes = {{
    {1, "A"},
    {2, "NS"},
    {5, "CNAME"},
    {6, "SOA"},
    {12, "PTR"},
    {15, "MX"},
    {16, "TXT"},
    {28, "AAAA"},
    {33, "SRV"},
    {257, "CAA"},
}};
constexpr std::array kRcodes = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
                                "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};
constexpr size_t kHeaderBytes = 12;
constexpr size_t kRecordsMax = 256;  // of one answer
constexpr int kClassIn = 1;

std::string TypeName(int type) {
  for (const auto& [number, name] : kTypes) {
    if (number == type) return name;
  }
  return absl::StrCat("TYPE", type);
}

/// Reads a message from front to back; names may point back into it.
class Reader {
 public:
  explicit Reader(absl::string_view whole) : whole_(whole) {}

  size_t at() const { return at_; }
  void Seek(size_t at) { at_ = at; }
  size_t left() const { return whole_.size() - at_; }

  absl::StatusOr<uint32_t> Number(size_t bytes) {
    if (left() < bytes) return Cut();
    uint32_t number = 0;
    for (size_t i = 0; i < bytes; ++i) {
      number = number << 8 | static_cast<unsigned char>(whole_[at_++]);
    }
    return number;
  }

  absl::StatusOr<absl::string_view> Bytes(size_t count) {
    if (left() < count) return Cut();
    at_ += count;
    return whole_.substr(at_ - count, count);
  }

  /// With a dot at the end.
  absl::StatusOr<std::string> Name() {
    if (left() == 0) return Cut();
    const auto* begin = reinterpret_cast<const unsigned char*>(whole_.data());
    char* text = nullptr;
    long used = 0;
    if (::ares_expand_name(begin + at_, begin, static_cast<int>(whole_.size()), &text, &used) !=
        ARES_SUCCESS) {
      return absl::InvalidArgumentError("a name in it is none");
    }
    std::string name = absl::StrCat(OneLine(text, 260), ".");
    ::ares_free_string(text);
    at_ += static_cast<size_t>(used);
    if (at_ > whole_.size()) return Cut();
    return name;
  }

 private:
  static absl::Status Cut() { return absl::InvalidArgumentError("it is cut off"); }

  const absl::string_view whole_;
  size_t at_ = 0;
};

absl::StatusOr<std::string> AddressData(int family, absl::string_view data) {
  char text[INET6_ADDRSTRLEN] = {};
  const size_t size = family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr);
  if (data.size() != size || ::inet_ntop(family, data.data(), text, sizeof(text)) == nullptr) {
    return absl::InvalidArgumentError("an address in it has the wrong size");
  }
  return std::string(text);
}

/// "\"one\" \"two\"".
absl::StatusOr<std::string> TextData(absl::string_view data) {
  std::vector<std::string> texts;
  while (!data.empty()) {
    const auto size = static_cast<unsigned char>(data[0]);
    if (data.size() <= size) return absl::InvalidArgumentError("a text in it is cut off");
    texts.push_back(Quote(data.substr(1, size), 260));
    data.remove_prefix(size + size_t{1});
  }
  return absl::StrJoin(texts, " ");
}

absl::StatusOr<std::string> SoaData(Reader& reader, DnsAnswer& answer) {
  FLEET_ASSIGN_OR_RETURN(std::string text, reader.Name());
  FLEET_ASSIGN_OR_RETURN(const std::string mail, reader.Name());
  absl::StrAppend(&text, " ", mail);
  for (int i = 0; i < 5; ++i) {
    FLEET_ASSIGN_OR_RETURN(const uint32_t number, reader.Number(4));
    if (i == 0 && !answer.serial.has_value()) answer.serial = number;
    absl::StrAppend(&text, " ", number);
  }
  return text;
}

/// `count` numbers of two bytes, and a name.
absl::StatusOr<std::string> NumbersAndName(Reader& reader, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    FLEET_ASSIGN_OR_RETURN(const uint32_t number, reader.Number(2));
    absl::StrAppend(&text, number, " ");
  }
  FLEET_ASSIGN_OR_RETURN(const std::string name, reader.Name());
  return absl::StrCat(text, name);
}

absl::StatusOr<std::string> CaaData(absl::string_view data) {
  if (data.size() < 2) return absl::InvalidArgumentError("a CAA record in it is cut off");
  const auto tag = static_cast<unsigned char>(data[1]);
  if (data.size() < size_t{2} + tag) return absl::InvalidArgumentError("a CAA tag is cut off");
  return absl::StrCat(static_cast<unsigned char>(data[0]), " ", OneLine(data.substr(2, tag)), " ",
                      Quote(data.substr(size_t{2} + tag), 260));
}

absl::StatusOr<std::string> RecordData(int type, absl::string_view data, Reader& reader,
                                       DnsAnswer& answer) {
  switch (type) {
    case 1:
      return AddressData(AF_INET, data);
    case 28:
      return AddressData(AF_INET6, data);
    case 2:
    case 5:
    case 12:
      return reader.Name();
    case 6:
      return SoaData(reader, answer);
    case 15:
      return NumbersAndName(reader, 1);
    case 33:
      return NumbersAndName(reader, 3);
    case 16:
      return TextData(data);
    case 257:
      return CaaData(data);
    default:
      return absl::StrCat("\\# ", data.size(), " ", absl::BytesToHexString(data.substr(0, 64)));
  }
}

absl::Status ParseRecord(Reader& reader, DnsAnswer& answer) {
  FLEET_ASSIGN_OR_RETURN(const std::string name, reader.Name());
  FLEET_ASSIGN_OR_RETURN(const uint32_t type, reader.Number(2));
  FLEET_ASSIGN_OR_RETURN(const uint32_t record_class, reader.Number(2));
  FLEET_ASSIGN_OR_RETURN(const uint32_t ttl, reader.Number(4));
  FLEET_ASSIGN_OR_RETURN(const uint32_t size, reader.Number(2));
  const size_t begin = reader.at();
  FLEET_ASSIGN_OR_RETURN(const absl::string_view data, reader.Bytes(size));
  reader.Seek(begin);
  FLEET_ASSIGN_OR_RETURN(const std::string text,
                         RecordData(static_cast<int>(type), data, reader, answer));
  if (reader.at() > begin + size) {
    return absl::InvalidArgumentError("a record in it is longer than it says");
  }
  reader.Seek(begin + size);
  const std::string shown_class =
      record_class == kClassIn ? "IN" : absl::StrCat("CLASS", record_class);
  answer.records.push_back(absl::StrCat(name, "\t", ttl, "\t", shown_class, "\t",
                                        TypeName(static_cast<int>(type)), "\t", text));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> MakeDnsQuery(const std::string& name, absl::string_view type,
                                         uint16_t id) {
  int number = 0;
  for (const auto& [known, text] : kTypes) {
    if (type == text) number = known;
  }
  unsigned char* bytes = nullptr;
  int size = 0;
  const int code =
      number == 0 ? int{ARES_EBADQUERY}
                  : ::ares_create_query(name.c_str(), kClassIn, number, id, 1, &bytes, &size, 0);
  if (code != ARES_SUCCESS) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot ask for ", OneLine(type), " of ", Quote(name)));
  }
  std::string query(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  ::ares_free_string(bytes);
  return query;
}

absl::StatusOr<DnsAnswer> ParseDnsAnswer(absl::string_view bytes) {
  if (bytes.size() < kHeaderBytes) return absl::InvalidArgumentError("it is cut off");
  Reader reader(bytes);
  DnsAnswer answer;
  const auto number = [&] { return *reader.Number(2); };
  answer.id = static_cast<uint16_t>(number());
  const uint32_t flags = number();
  if ((flags & 0x8000) == 0) return absl::InvalidArgumentError("it is a question");
  answer.truncated = (flags & 0x0200) != 0;
  const size_t rcode = flags & 0xf;
  answer.rcode = rcode < kRcodes.size() ? kRcodes[rcode] : absl::StrCat("RCODE", rcode);
  const uint32_t questions = number();
  answer.answers = static_cast<int>(number());
  answer.authorities = static_cast<int>(number());
  answer.additionals = static_cast<int>(number());
  for (uint32_t i = 0; i < questions; ++i) {
    FLEET_RETURN_IF_ERROR(reader.Name().status());
    FLEET_RETURN_IF_ERROR(reader.Bytes(4).status());
  }
  for (int i = 0; i < answer.answers; ++i) {
    if (answer.records.size() >= kRecordsMax) break;
    FLEET_RETURN_IF_ERROR(ParseRecord(reader, answer));
  }
  return answer;
}

}  // namespace fleet::probe
