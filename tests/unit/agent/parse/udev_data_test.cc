#include "agent/parse/udev_data.h"

#include <gmock/gmock.h>

namespace fleet::agent {
namespace {

TEST(ParseUdevDataTest, KeepsPropertiesOnly) {
  const UdevData data = ParseUdevData(
      "S:disk/by-id/ata-WDC\nW:3\nI:1881204\nE:ID_SERIAL_SHORT=WD-WCC4N1\nE:ID_MODEL=A=B\nE:BAD\n"
      "G:systemd\n");
  EXPECT_EQ(data.properties.size(), 2u);
  EXPECT_EQ(data.Get("ID_SERIAL_SHORT"), "WD-WCC4N1");
  EXPECT_EQ(data.Get("ID_MODEL"), "A=B");
  EXPECT_EQ(data.Get("ID_PATH"), "");
}

TEST(ParseUdevDataTest, IsBounded) {
  std::string text;
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&text, "E:K", i, "=v\n");
  EXPECT_EQ(ParseUdevData(text).properties.size(), 1024u);
}

TEST(ParseUdevDataTest, NeverFails) {
  for (const char* text : {"", "\n", "E:", "E:=", "=", "E:X", "\xff\xfe"}) ParseUdevData(text);
}

}  // namespace
}  // namespace fleet::agent
