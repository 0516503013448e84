#pragma once

#include <string>

#include "absl/time/time.h"
#include "collector/probes/confirm.h"
#include "collector/probes/probes.h"
#include "fleet/v1/probe_store.pb.h"
#include "google/protobuf/message.h"

namespace fleet::collector {

/// What the database holds as text, and back. A text that cannot be read is an empty message.
std::string ToText(const google::protobuf::Message& message);
void FromText(const std::string& text, google::protobuf::Message& message);

int64_t ToMicros(absl::Time time);      // 0 for an infinite one
absl::Time FromMicros(int64_t micros);  // InfinitePast for 0

v1::StoredCheck ToStored(const ProbeCheck& check);
void FromStored(const v1::StoredCheck& stored, ProbeCheck& check);

v1::StoredCertificate ToStored(const probe::ServerCertificate& certificate);
probe::ServerCertificate FromStored(const v1::StoredCertificate& stored);

v1::StoredLook ToStored(const SeenLook& look);
SeenLook FromStored(const v1::StoredLook& stored);
/// The looks of a downtime, which stand in a column of their own.
v1::StoredLooks LooksOf(const Downtime& downtime);
void SetLooks(const v1::StoredLooks& looks, Downtime& downtime);

v1::StoredEvent ToStored(const ProbeEvent& event);
void FromStored(const v1::StoredEvent& stored, ProbeEvent& event);

void ToStored(const Confirmation::Memory& memory, v1::StoredState& state);
Confirmation::Memory FromStored(const v1::StoredState& state);

}  // namespace fleet::collector
