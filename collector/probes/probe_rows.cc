#include "collector/probes/probe_rows.h"

#include <google/protobuf/text_format.h>

#include <utility>

namespace fleet::collector {

std::string ToText(const google::protobuf::Message& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  printer.PrintToString(message, &text);
  return text;
}

void FromText(const std::string& text, google::protobuf::Message& message) {
  google::protobuf::TextFormat::Parser parser;
  parser.AllowUnknownField(true);
  if (!parser.ParseFromString(text, &message)) message.Clear();
}

int64_t ToMicros(absl::Time time) {
  return time == absl::InfinitePast() || time == absl::InfiniteFuture() ? 0
                                                                        : absl::ToUnixMicros(time);
}

absl::Time FromMicros(int64_t micros) {
  return micros == 0 ? absl::InfinitePast() : absl::FromUnixMicros(micros);
}

v1::StoredCheck ToStored(const ProbeCheck& check) {
  v1::StoredCheck stored;
  stored.set_alias(check.alias);
  stored.set_url(check.url);
  stored.set_type(check.type);
  stored.set_period(absl::ToDoubleSeconds(check.period));
  stored.set_apdex_t(check.apdex_t);
  stored.set_string_match(check.string_match);
  stored.set_enabled(check.enabled);
  stored.set_published(check.published);
  for (const std::string& code : check.disabled_locations) stored.add_disabled_locations(code);
  for (const std::string& id : check.recipients) stored.add_recipients(id);
  stored.mutable_custom_headers()->insert(check.custom_headers.begin(), check.custom_headers.end());
  stored.set_http_verb(check.http_verb);
  stored.set_http_body(check.http_body);
  stored.set_mute_until(check.mute_until);
  stored.set_user(check.spec.http.user);
  stored.set_password(check.spec.http.password);
  return stored;
}

void FromStored(const v1::StoredCheck& stored, ProbeCheck& check) {
  check.alias = stored.alias();
  check.url = stored.url();
  check.type = stored.type();
  check.period = absl::Seconds(stored.period());
  check.apdex_t = stored.apdex_t();
  check.string_match = stored.string_match();
  check.enabled = stored.enabled();
  check.published = stored.published();
  check.disabled_locations.assign(stored.disabled_locations().begin(),
                                  stored.disabled_locations().end());
  check.recipients.assign(stored.recipients().begin(), stored.recipients().end());
  check.custom_headers.insert(stored.custom_headers().begin(), stored.custom_headers().end());
  check.http_verb = stored.http_verb();
  check.http_body = stored.http_body();
  check.mute_until = stored.mute_until();
  check.spec.http.user = stored.user();
  check.spec.http.password = stored.password();
}

v1::StoredCertificate ToStored(const probe::ServerCertificate& certificate) {
  v1::StoredCertificate stored;
  stored.set_subject(certificate.subject);
  stored.set_issuer(certificate.issuer);
  stored.set_issuer_organization(certificate.issuer_organization);
  stored.set_algorithm(certificate.algorithm);
  stored.set_fingerprint(certificate.fingerprint);
  stored.set_not_before(ToMicros(certificate.not_before));
  stored.set_not_after(ToMicros(certificate.not_after));
  return stored;
}

probe::ServerCertificate FromStored(const v1::StoredCertificate& stored) {
  return {stored.subject(),
          stored.issuer(),
          stored.issuer_organization(),
          stored.algorithm(),
          stored.fingerprint(),
          FromMicros(stored.not_before()),
          FromMicros(stored.not_after())};
}

v1::StoredLook ToStored(const SeenLook& look) {
  v1::StoredLook stored;
  stored.set_time(ToMicros(look.time));
  stored.set_vantage(look.vantage);
  stored.set_up(look.up);
  stored.set_method(look.method);
  stored.set_status(look.status);
  stored.set_address(look.address);
  stored.set_took(absl::ToInt64Microseconds(look.took));
  stored.set_error(look.error);
  return stored;
}

SeenLook FromStored(const v1::StoredLook& stored) {
  return {FromMicros(stored.time()),
          stored.vantage(),
          stored.up(),
          stored.method(),
          stored.status(),
          stored.address(),
          absl::Microseconds(stored.took()),
          stored.error()};
}

v1::StoredLooks LooksOf(const Downtime& downtime) {
  v1::StoredLooks looks;
  for (const SeenLook& look : downtime.down_looks) *looks.add_down() = ToStored(look);
  for (const SeenLook& look : downtime.up_looks) *looks.add_up() = ToStored(look);
  return looks;
}

void SetLooks(const v1::StoredLooks& looks, Downtime& downtime) {
  for (const v1::StoredLook& look : looks.down()) downtime.down_looks.push_back(FromStored(look));
  for (const v1::StoredLook& look : looks.up()) downtime.up_looks.push_back(FromStored(look));
}

v1::StoredEvent ToStored(const ProbeEvent& event) {
  v1::StoredEvent stored;
  if (event.certificate.has_value()) *stored.mutable_certificate() = ToStored(*event.certificate);
  if (event.old_certificate.has_value()) {
    *stored.mutable_old_certificate() = ToStored(*event.old_certificate);
  }
  stored.set_ssl_error(event.ssl_error);
  stored.set_days_before_expiration(event.days_before_expiration);
  stored.set_apdex_dropped_percent(event.apdex_dropped_percent);
  for (const auto& [hour, apdex] : event.apdex_by_hour) {
    stored.add_hours(ToMicros(hour));
    stored.add_apdex(apdex);
  }
  if (event.downtime.has_value()) {
    const Downtime& downtime = *event.downtime;
    stored.set_downtime(downtime.id);
    stored.set_error(downtime.error);
    stored.set_started(ToMicros(downtime.started_at));
    stored.set_ended(downtime.ended_at.has_value() ? ToMicros(*downtime.ended_at) : 0);
    stored.set_has_partial(downtime.partial.has_value());
    stored.set_partial(downtime.partial.value_or(false));
    stored.set_caused_by(downtime.caused_by);
  }
  const ProbeStatus& status = event.view.status;
  stored.set_has_last_status(status.last_status.has_value());
  stored.set_last_status(status.last_status.value_or(0));
  stored.set_down(status.down);
  stored.set_down_since(ToMicros(status.down_since));
  stored.set_up_since(ToMicros(status.up_since));
  stored.set_status_error(status.error);
  stored.set_uptime(status.uptime);
  stored.set_last_check(ToMicros(status.last_check_at));
  stored.set_next_check(ToMicros(status.next_check_at));
  return stored;
}

void FromStored(const v1::StoredEvent& stored, ProbeEvent& event) {
  if (stored.has_certificate()) event.certificate = FromStored(stored.certificate());
  if (stored.has_old_certificate()) event.old_certificate = FromStored(stored.old_certificate());
  event.ssl_error = stored.ssl_error();
  event.days_before_expiration = stored.days_before_expiration();
  event.apdex_dropped_percent = stored.apdex_dropped_percent();
  for (int i = 0; i < std::min(stored.hours_size(), stored.apdex_size()); ++i) {
    event.apdex_by_hour.emplace_back(FromMicros(stored.hours(i)), stored.apdex(i));
  }
  if (!stored.downtime().empty()) {
    Downtime& downtime = event.downtime.emplace();
    downtime.id = stored.downtime();
    downtime.token = event.token;
    downtime.error = stored.error();
    downtime.started_at = FromMicros(stored.started());
    if (stored.ended() != 0) downtime.ended_at = FromMicros(stored.ended());
    if (stored.has_partial()) downtime.partial = stored.partial();
    downtime.caused_by = stored.caused_by();
  }
  ProbeStatus& status = event.view.status;
  if (stored.has_last_status()) status.last_status = stored.last_status();
  status.down = stored.down();
  status.down_since = FromMicros(stored.down_since());
  status.up_since = FromMicros(stored.up_since());
  status.error = stored.status_error();
  status.uptime = stored.uptime();
  status.pending = false;
  status.last_check_at = FromMicros(stored.last_check());
  status.next_check_at = FromMicros(stored.next_check());
}

void ToStored(const Confirmation::Memory& memory, v1::StoredState& state) {
  state.set_down(memory.down);
  state.set_since(ToMicros(memory.since));
  state.set_saw_full(memory.saw_full);
  state.set_failing_looks(memory.failing_looks);
  state.clear_lanes();
  for (const auto& [key, lane] : memory.lanes) {
    if (lane.streak == 0) continue;
    v1::StoredLane& stored = *state.add_lanes();
    stored.set_vantage(key.first);
    stored.set_family(static_cast<uint32_t>(key.second));
    stored.set_down(lane.down);
    stored.set_started(ToMicros(lane.started));
    stored.set_last(ToMicros(lane.last));
    stored.set_streak(static_cast<uint32_t>(lane.streak));
    for (const absl::Time time : lane.recent) stored.add_recent(ToMicros(time));
    stored.set_error(lane.error);
  }
}

Confirmation::Memory FromStored(const v1::StoredState& state) {
  Confirmation::Memory memory;
  memory.down = state.down();
  memory.since = FromMicros(state.since());
  memory.saw_full = state.saw_full();
  memory.failing_looks = state.failing_looks();
  for (const v1::StoredLane& stored : state.lanes()) {
    if (stored.family() > static_cast<uint32_t>(probe::IpFamily::kIpv6)) continue;
    Confirmation::Lane& lane =
        memory.lanes[{stored.vantage(), static_cast<probe::IpFamily>(stored.family())}];
    lane.down = stored.down();
    lane.started = FromMicros(stored.started());
    lane.last = FromMicros(stored.last());
    lane.streak = static_cast<int>(stored.streak());
    for (const int64_t time : stored.recent()) lane.recent.push_back(FromMicros(time));
    lane.error = stored.error();
  }
  return memory;
}

}  // namespace fleet::collector
