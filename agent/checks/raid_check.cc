#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/checks/checks.h"
#include "agent/checks/raid_judge.h"
#include "agent/checks/raid_read.h"
#include "agent/parse/mdstat.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr MetricDesc kMetrics[] = {
    {"node_md_blocks", MetricType::kGauge, "Total number of blocks on device.", true},
    {"node_md_blocks_synced", MetricType::kGauge, "Number of blocks synced on device.", true},
    {"node_md_disks", MetricType::kGauge, "Number of active/failed/spare disks of device.", true},
    {"node_md_disks_required", MetricType::kGauge, "Total number of disks of device.", true},
    {"node_md_state", MetricType::kGauge, "Indicates the state of md-device.", true},
    {"fleet_raid_degraded_disks", MetricType::kGauge, "Slots of the array without a disk in sync."},
    {"fleet_raid_spare_disks", MetricType::kGauge, "Idle spare disks of the array."},
    {"fleet_raid_mismatch_sectors", MetricType::kGauge,
     "Sectors that differed when the array was last checked or repaired."},
    {"fleet_raid_sync_progress_ratio", MetricType::kGauge,
     "How much of the running recovery, resync, check or reshape is done."},
    {"fleet_raid_sync_remaining_seconds", MetricType::kGauge,
     "When the running recovery, resync, check or reshape ends at its present speed."},
    {"fleet_raid_member_info", MetricType::kGauge,
     "Members of the array: 1, with role (active, spare, rebuilding, replacement, failed or "
     "journal), slot and serial."},
    {"fleet_raid_member_read_errors_total", MetricType::kCounter,
     "Read errors of the member that md corrected from the other members."},
    {"fleet_raid_member_bad_ranges", MetricType::kGauge,
     "Ranges of the member that are recorded as bad: they have no redundancy."},
};
constexpr const MetricDesc& kBlocks = kMetrics[0];
constexpr const MetricDesc& kBlocksSynced = kMetrics[1];
constexpr const MetricDesc& kDisks = kMetrics[2];
constexpr const MetricDesc& kDisksRequired = kMetrics[3];
constexpr const MetricDesc& kState = kMetrics[4];
constexpr const MetricDesc& kDegraded = kMetrics[5];
constexpr const MetricDesc& kSpares = kMetrics[6];
constexpr const MetricDesc& kMismatch = kMetrics[7];
constexpr const MetricDesc& kProgress = kMetrics[8];
constexpr const MetricDesc& kRemaining = kMetrics[9];
constexpr const MetricDesc& kMemberInfo = kMetrics[10];
constexpr const MetricDesc& kReadErrors = kMetrics[11];
constexpr const MetricDesc& kBadRanges = kMetrics[12];

constexpr absl::string_view kMemoryPrefix = "array/";

absl::string_view RoleOf(const RaidMember& member) {
  if (member.state.journal) return member.state.faulty ? "failed" : "journal";
  if (member.state.faulty) return "failed";
  if (member.state.replacement) return "replacement";
  if (member.state.in_sync) return "active";
  return member.slot ? "rebuilding" : "spare";
}

/// What node_exporter calls the state; empty for one it has no word for (`broken`).
absl::string_view ExporterState(const MdstatArray& array) {
  const absl::string_view action = array.sync ? absl::string_view(array.sync->action) : "";
  if (action == "recovery") return "recovering";
  if (action == "check") return "check";
  if (action == "resync" || absl::StartsWith(array.pending, "resync=")) return "resync";
  return array.state;
}

/// node_md_* with the exporter's values: it counts in the text of mdstat.
void AddExporterSamples(const MdstatArray& array, CheckRun& run) {
  const Label device{"device", array.name};
  double failed = 0;
  double spare = 0;
  for (const MdstatMember& member : array.members) {
    failed += member.faulty ? 1 : 0;
    spare += member.spare ? 1 : 0;
  }
  const bool striped = array.level == "raid0" || array.level == "linear";
  const bool counted = array.disks_required && array.state != "inactive";
  const auto members = static_cast<double>(array.members.size());
  const double required = striped ? members : counted ? *array.disks_required : 0;
  const double active = striped ? members : counted ? array.disks_active : 0;
  const absl::string_view state = ExporterState(array);
  auto synced = static_cast<double>(array.blocks);
  if (state == "recovering" || state == "check" || state == "resync") {
    synced = array.sync ? static_cast<double>(array.sync->done_blocks) : 0;
  }
  run.Add(kBlocks, {device}, static_cast<double>(array.blocks));
  run.Add(kBlocksSynced, {device}, synced);
  run.Add(kDisks, {device, {"state", "active"}}, active);
  run.Add(kDisks, {device, {"state", "failed"}}, failed);
  run.Add(kDisks, {device, {"state", "spare"}}, spare);
  run.Add(kDisksRequired, {device}, required);
  for (const absl::string_view name : {"active", "check", "inactive", "recovering", "resync"}) {
    run.Add(kState, {device, {"state", name}}, state == name ? 1 : 0);
  }
}

void AddOwnSamples(const RaidArray& array, CheckRun& run) {
  const Label device{"device", array.name};
  if (array.degraded) run.Add(kDegraded, {device}, *array.degraded);
  double spares = 0;
  for (const RaidMember& member : array.members) spares += RoleOf(member) == "spare" ? 1 : 0;
  run.Add(kSpares, {device}, spares);
  if (array.mismatch_sectors) {
    run.Add(kMismatch, {device}, static_cast<double>(*array.mismatch_sectors));
  }
  if (array.Syncing()) {
    const Label action{"action", array.sync_action};
    run.Add(kProgress, {action, device},
            static_cast<double>(array.sync.done_sectors) /
                static_cast<double>(array.sync.total_sectors));
    if (const auto left = array.SyncTimeLeft()) {
      run.Add(kRemaining, {action, device}, absl::ToDoubleSeconds(*left));
    }
  }
  for (const RaidMember& member : array.members) {
    const std::string slot = member.slot ? absl::StrCat(*member.slot) : "";
    const Label name{"member", member.name};
    run.Add(kMemberInfo,
            {device, name, {"role", RoleOf(member)}, {"serial", member.serial}, {"slot", slot}}, 1);
    run.Add(kReadErrors, {device, name}, static_cast<double>(member.read_errors));
    run.Add(kBadRanges, {device, name}, member.bad_block_ranges);
  }
}

absl::Span<const MdstatArray> LinesOf(const absl::StatusOr<Mdstat>& mdstat) {
  return mdstat.ok() ? absl::MakeConstSpan(mdstat->arrays) : absl::Span<const MdstatArray>();
}

class RaidCheck final : public Check {
 public:
  explicit RaidCheck(const CheckEnv& env)
      : fs_(env.fs), options_(env.options.raid), reader_(env.fs) {}

  absl::Span<const MetricDesc> metrics() const override { return kMetrics; }

  absl::Status Collect(CheckRun& run) override {
    watched_.clear();
    present_.clear();
    sayings_.clear();
    const absl::StatusOr<Mdstat> mdstat = ReadMdstat();
    std::map<absl::string_view, const MdstatArray*> lines;
    for (const MdstatArray& line : LinesOf(mdstat)) {
      lines[line.name] = &line;
      AddExporterSamples(line, run);
    }
    for (const std::string& name : reader_.List()) {
      watched_.push_back(name);
      auto array = reader_.Read(name);
      if (absl::IsInvalidArgument(array.status())) {
        run.AddUnknownItem(name, UnknownKind::kError, array.status().message());
        present_.push_back({name, KeyOfName(name, run.memory())});
        lines.erase(name);
      } else if (array.ok()) {
        if (const auto line = lines.find(name); line != lines.end()) {
          MergeMdstat(*line->second, *array);
          lines.erase(line);
        }
        JudgeOne(*array, run);
      }
    }
    reader_.DropOldSerials();
    for (const auto& [name, line] : lines) JudgeOne(RaidFromMdstat(*line), run);
    JudgeGone(run);
    FLEET_RETURN_IF_ERROR(mdstat.status());
    if (run.report().items.empty()) return absl::NotFoundError("no md array");
    Summarize(run);
    return absl::OkStatus();
  }

  std::vector<Watch> watches() const override {
    std::vector<Watch> watches = {{Watch::Kind::kPollPriority, "proc/mdstat", ""}};
    for (const std::string& name : watched_) {
      for (const absl::string_view attribute : {"array_state", "degraded", "sync_action"}) {
        watches.push_back(
            {Watch::Kind::kPollPriority, absl::StrCat("sys/block/", name, "/md/", attribute), ""});
      }
    }
    return watches;
  }

 private:
  struct Identity {
    std::string name;
    std::string key;  // of its memory
  };

  /// Empty on a kernel without md.
  absl::StatusOr<Mdstat> ReadMdstat() const {
    const auto text = fs_.Read("proc/mdstat");
    if (absl::IsNotFound(text.status())) return Mdstat();
    FLEET_RETURN_IF_ERROR(text.status());
    return ParseMdstat(*text);
  }

  /// By UUID where there is one: after a reboot md0 may be md127.
  std::string MemoryKey(const RaidArray& array, const CheckMemory& memory) const {
    const bool has_uuid = array.uuid.find_first_not_of("0-:") != std::string::npos;
    if (has_uuid) return absl::StrCat(kMemoryPrefix, array.uuid);
    // mdstat has no UUID: it is the array that was known by this name.
    return KeyOfName(array.name, memory);
  }

  static std::string KeyOfName(absl::string_view name, const CheckMemory& memory) {
    for (const auto& [key, value] : memory.entries()) {
      if (absl::StartsWith(key, kMemoryPrefix) && ParseRaidHistory(value).name == name) return key;
    }
    return absl::StrCat(kMemoryPrefix, name);
  }

  void JudgeOne(const RaidArray& array, CheckRun& run) {
    const std::string key = MemoryKey(array, run.memory());
    const std::string* remembered = run.memory().Find(key);
    const RaidHistory before =
        remembered == nullptr ? RaidHistory() : ParseRaidHistory(*remembered);
    const RaidHistory after = Remember(array, before, run.now());
    // Judged by who was there before, except for how long something has lasted.
    RaidHistory known = before;
    known.pending_since = after.pending_since;
    known.first_seen = after.first_seen;
    known.last_check = after.last_check;
    const RaidJudgement judgement = JudgeRaid(array, known, run.now(), options_);
    run.AddItem(array.name, judgement.verdict, judgement.reason);
    AddOwnSamples(array, run);
    present_.push_back({array.name, key});
    sayings_.push_back(absl::StrCat(array.name, " ", judgement.reason));
    run.memory().Set(key, FormatRaidHistory(after));
  }

  /// Arrays remembered and not here any more. One that another array has taken the name of was
  /// made anew.
  void JudgeGone(CheckRun& run) {
    std::vector<std::string> replaced;
    for (const auto& [key, value] : run.memory().entries()) {
      if (!absl::StartsWith(key, kMemoryPrefix)) continue;
      const RaidHistory history = ParseRaidHistory(value);
      bool here = false;
      bool name_taken = false;
      for (const Identity& identity : present_) {
        here = here || identity.key == key;
        name_taken = name_taken || identity.name == history.name;
      }
      if (here) continue;
      if (name_taken || history.slots.empty()) {
        replaced.push_back(key);
        continue;
      }
      const RaidJudgement judgement = JudgeGoneRaid(history);
      run.AddItem(history.name, judgement.verdict, judgement.reason);
    }
    for (const std::string& key : replaced) run.memory().Erase(key);
  }

  /// The reason of a check whose arrays are all in order: what each of them is.
  void Summarize(CheckRun& run) const {
    const auto& items = run.report().items;
    if (std::all_of(items.begin(), items.end(),
                    [](const Item& item) { return item.verdict == Verdict::kOk; })) {
      run.SetReason(absl::StrJoin(sayings_, "; "));
    }
  }

  const HostFs fs_;
  const RaidOptions options_;
  RaidReader reader_;
  std::vector<std::string> watched_;  // arrays in sysfs
  std::vector<Identity> present_;
  std::vector<std::string> sayings_;
};

}  // namespace

std::unique_ptr<Check> MakeRaidCheck(const CheckEnv& env) {
  return std::make_unique<RaidCheck>(env);
}

}  // namespace fleet::agent
