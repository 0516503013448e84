#include "common/probe/distinguished_name.h"

#include <openssl/asn1.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include <array>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace fleet::probe {
namespace {

// In the order in which Go writes the kinds that it knows.
constexpr std::array<std::pair<int, const char*>, 9> kKnown = {{
    {NID_serialNumber, "SERIALNUMBER"},
    {NID_commonName, "CN"},
    {NID_postalCode, "POSTALCODE"},
    {NID_streetAddress, "STREET"},
    {NID_stateOrProvinceName, "ST"},
    {NID_localityName, "L"},
    {NID_organizationalUnitName, "OU"},
    {NID_organizationName, "O"},
    {NID_countryName, "C"},
}};

std::string ToUtf8(const ASN1_STRING* value) {
  unsigned char* bytes = nullptr;
  const int size = ::ASN1_STRING_to_UTF8(&bytes, value);
  if (size < 0) return "";
  std::string text(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  ::OPENSSL_free(bytes);
  return text;
}

std::string Escaped(const std::string& value) {
  std::string escaped;
  for (size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    const bool special = std::string_view(",+\"\\<>;").find(c) != std::string_view::npos;
    const bool edge = (c == ' ' && (i == 0 || i + 1 == value.size())) || (c == '#' && i == 0);
    if (special || edge) escaped.push_back('\\');
    escaped.push_back(c);
  }
  return escaped;
}

/// "1.2.3.4=#0c03616263": a kind that Go does not know.
std::string Unknown(const ASN1_OBJECT* kind, const ASN1_STRING* value) {
  char id[80];
  ::OBJ_obj2txt(id, sizeof(id), kind, 1);
  std::string der;
  unsigned char* bytes = nullptr;
  ASN1_TYPE* typed = ::ASN1_TYPE_new();
  ::ASN1_TYPE_set1(typed, ::ASN1_STRING_type(value), value);
  const int size = ::i2d_ASN1_TYPE(typed, &bytes);
  if (size > 0) der.assign(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  ::OPENSSL_free(bytes);
  ::ASN1_TYPE_free(typed);
  return absl::StrCat(id, "=#", absl::BytesToHexString(der));
}

bool IsKnown(int nid) {
  for (const auto& [known, text] : kKnown) {
    if (known == nid) return true;
  }
  return false;
}

}  // namespace

std::string GoName(const X509_NAME* name) {
  std::vector<std::string> parts;
  for (const auto& [nid, text] : kKnown) {
    std::vector<std::string> values;
    for (int at = ::X509_NAME_get_index_by_NID(name, nid, -1); at >= 0;
         at = ::X509_NAME_get_index_by_NID(name, nid, at)) {
      const X509_NAME_ENTRY* entry = ::X509_NAME_get_entry(name, at);
      values.push_back(absl::StrCat(text, "=", Escaped(ToUtf8(::X509_NAME_ENTRY_get_data(entry)))));
      // Of these two, Go knows one.
      if (nid == NID_commonName || nid == NID_serialNumber) values = {values.back()};
    }
    if (!values.empty()) parts.push_back(absl::StrJoin(values, "+"));
  }
  for (int at = ::X509_NAME_entry_count(name) - 1; at >= 0; --at) {
    const X509_NAME_ENTRY* entry = ::X509_NAME_get_entry(name, at);
    const ASN1_OBJECT* kind = ::X509_NAME_ENTRY_get_object(entry);
    if (!IsKnown(::OBJ_obj2nid(kind))) {
      parts.push_back(Unknown(kind, ::X509_NAME_ENTRY_get_data(entry)));
    }
  }
  return absl::StrJoin(parts, ",");
}

std::string NamePart(const X509_NAME* name, int nid) {
  const int at = ::X509_NAME_get_index_by_NID(name, nid, -1);
  if (at < 0) return "";
  return ToUtf8(::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(name, at)));
}

}  // namespace fleet::probe
