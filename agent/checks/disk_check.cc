#include "agent/checks/disk_check.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/checks/disk_devices.h"
#include "agent/checks/disk_forecast.h"
#include "agent/checks/disk_judge.h"
#include "agent/checks/disk_metrics.h"
#include "agent/checks/disk_mounts.h"
#include "agent/kept_file.h"
#include "agent/parse/mountinfo.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

/// How long a filesystem that may hang is waited for.
constexpr absl::Duration kRemoteTimeout = absl::Seconds(1);
/// How often the mounts are read though the kernel announced no change: it does not say when it
/// turns a filesystem read-only itself.
constexpr absl::Duration kMountsReadInterval = absl::Seconds(10);
/// How often the history of space is written down.
constexpr absl::Duration kHistoryInterval = absl::Minutes(5);
constexpr char kOwnMountinfo[] = "proc/self/mountinfo";
constexpr absl::string_view kSpacePrefix = "space/";
constexpr absl::string_view kWritablePrefix = "writable/";
constexpr absl::string_view kErrorsPrefix = "errors/";

/// Lines of memory before those of filesystems that are gone are dropped: containers come and go.
constexpr size_t kRememberedMax = 300;

using UsageByPath = std::map<std::string, absl::StatusOr<FilesystemUsage>>;

class DiskCheck final : public Check {
 public:
  DiskCheck(const CheckEnv& env, std::unique_ptr<FilesystemStats> stats)
      : fs_(env.fs),
        options_(env.options.disk),
        stats_(std::move(stats)),
        devices_(env.fs),
        mounts_(env.fs, "proc/1/mountinfo", KeptFile::Records::kMany),
        own_mounts_(env.fs, kOwnMountinfo, KeptFile::Records::kMany) {}

  absl::Span<const MetricDesc> metrics() const override { return kDiskMetrics; }

  absl::Status Collect(CheckRun& run) override {
    const absl::Status devices = devices_.Add(run);
    FLEET_ASSIGN_OR_RETURN(const std::vector<DiskMount>* const mounts, ReadMounts(run.now()));
    const UsageByPath usage = Measure(*mounts, run);
    AddExporterSamples(*mounts, usage, run);
    for (const DiskMount& mount : *mounts) {
      if (mount.judged && !IsIgnored(mount.mount.mount_point)) JudgeMount(mount, usage, run);
    }
    TrimMemory(run.memory());
    return devices;
  }

  std::vector<Watch> watches() const override {
    return {{Watch::Kind::kPollPriority, mountinfo_, ""}};
  }

 private:
  /// What has been seen of one filesystem by this process.
  struct Seen {
    SpaceHistory history;
    RecentSpace recent;
    absl::Time written = absl::InfinitePast();
  };

  struct ExtFiles {
    std::string directory;  // in sysfs
    KeptFile errors_count;
  };

  /// Reads only what may have changed, which is much where many containers run, and parses only
  /// what has.
  absl::StatusOr<const std::vector<DiskMount>*> ReadMounts(absl::Time now) {
    const absl::Duration age = now - mounts_read_;
    if (!mounts_.MayHaveChanged() && age >= absl::ZeroDuration() && age < kMountsReadInterval) {
      return &sorted_;
    }
    mounts_read_ = absl::InfinitePast();
    // The first process sees the host's mounts even when we run in a namespace of our own.
    KeptFile* file = &mounts_;
    auto text = file->Read();
    if (!text.ok()) {
      file = &own_mounts_;
      text = file->Read();
    }
    mountinfo_ = file->path();
    FLEET_RETURN_IF_ERROR(text.status());
    if (sorted_text_ != *text || sorted_text_.empty()) {
      sorted_text_.clear();
      ext_.clear();
      FLEET_ASSIGN_OR_RETURN(std::vector<Mount> mounts, ParseMountinfo(*text));
      sorted_ = SortMounts(std::move(mounts));
      if (file == &mounts_) {
        // Mounts reach a sandbox as they come, so ours change with theirs.
        if (const auto own = own_mounts_.Read(); own.ok()) {
          FLEET_ASSIGN_OR_RETURN(const std::vector<Mount> ours, ParseMountinfo(*own));
          MarkHidden(ours, sorted_);
        }
      }
      sorted_text_ = std::string(*text);
    }
    mounts_read_ = now;
    return &sorted_;
  }

  /// Asks for each mount point once; local filesystems first, so that they wait for nobody.
  UsageByPath Measure(const std::vector<DiskMount>& mounts, const CheckRun& run) {
    UsageByPath usage;
    if (stats_ == nullptr) return usage;
    std::vector<std::string> remote;
    for (const DiskMount& entry : mounts) {
      const std::string& path = entry.mount.mount_point;
      if ((!entry.exported && !entry.judged) || usage.contains(path)) continue;
      usage.emplace(path, absl::UnknownError("not asked"));
      if (entry.hidden) {
        usage.insert_or_assign(path, absl::PermissionDeniedError("hidden"));
      } else if (entry.may_hang) {
        remote.push_back(path);
      } else {
        usage.insert_or_assign(path, stats_->Local(path));
      }
    }
    const absl::Duration timeout = std::min(kRemoteTimeout, run.TimeLeft() / 2);
    const auto results = stats_->Remote(remote, timeout);
    for (size_t i = 0; i < remote.size(); ++i) usage.insert_or_assign(remote[i], results[i]);
    return usage;
  }

  static void AddExporterSamples(const std::vector<DiskMount>& mounts, const UsageByPath& usage,
                                 CheckRun& run) {
    std::set<std::tuple<absl::string_view, absl::string_view, absl::string_view>> seen;
    for (const DiskMount& entry : mounts) {
      const Mount& mount = entry.mount;
      const auto found = usage.find(mount.mount_point);
      if (!entry.exported || found == usage.end() ||
          !seen.emplace(mount.source, mount.mount_point, mount.type).second) {
        continue;
      }
      const Label labels[] = {
          {"device", mount.source}, {"fstype", mount.type}, {"mountpoint", mount.mount_point}};
      const absl::StatusOr<FilesystemUsage>& result = found->second;
      run.Add(kDiskMetrics[kFilesystemDeviceError], labels, result.ok() ? 0 : 1);
      if (!result.ok()) continue;
      run.Add(kDiskMetrics[kFilesystemSize], labels, result->size_bytes * result->transfer_ratio);
      run.Add(kDiskMetrics[kFilesystemFree], labels, result->free_bytes * result->transfer_ratio);
      run.Add(kDiskMetrics[kFilesystemAvailable], labels,
              result->available_bytes * result->transfer_ratio);
      run.Add(kDiskMetrics[kFilesystemFiles], labels, result->files);
      run.Add(kDiskMetrics[kFilesystemFilesFree], labels, result->files_free);
      run.Add(kDiskMetrics[kFilesystemReadOnly], labels, mount.read_only() ? 1 : 0);
    }
  }

  void JudgeMount(const DiskMount& entry, const UsageByPath& usage, CheckRun& run) {
    const Mount& mount = entry.mount;
    const std::string key = absl::StrCat(mount.mount_point, "|", mount.source);
    FilesystemFacts facts;
    JudgeWritable(mount, key, facts, run.memory());
    facts.errors = ReadErrors(mount, key, run);
    const auto found = usage.find(mount.mount_point);
    if (entry.hidden) {
      run.AddUnknownItem(mount.mount_point, UnknownKind::kBlind,
                         "hidden by the agent's sandbox: set ProtectHome=read-only or "
                         "PrivateTmp=no in fleet-agent.service, or add it to checks.disk.ignore");
      return;
    }
    if (found != usage.end()) {
      if (!found->second.ok()) return AddFailed(mount, found->second.status(), run);
      facts.usage = *found->second;
      Forecast(key, facts, run);
    }
    const FilesystemJudgement judgement = JudgeFilesystem(facts, run.now(), options_);
    run.AddItem(mount.mount_point, judgement.verdict, judgement.reason);

    const Label labels[] = {
        {"device", mount.source}, {"fstype", mount.type}, {"mountpoint", mount.mount_point}};
    if (facts.full_in < absl::InfiniteDuration()) {
      run.Add(kDiskMetrics[kDiskFull], labels, absl::ToDoubleSeconds(facts.full_in));
    }
    if (facts.errors) {
      run.Add(kDiskMetrics[kDiskFilesystemErrors], labels,
              static_cast<double>(facts.errors->count));
    }
  }

  static void AddFailed(const Mount& mount, const absl::Status& status, CheckRun& run) {
    const std::string& name = mount.mount_point;
    switch (status.code()) {
      case absl::StatusCode::kDeadlineExceeded:
        run.AddUnknownItem(name, UnknownKind::kStuck, status.message());
        break;
      case absl::StatusCode::kPermissionDenied:
        run.AddUnknownItem(name, UnknownKind::kBlind,
                           absl::StrCat(status.message(),
                                        ": mount it with allow_other, or add it "
                                        "to checks.disk.ignore"));
        break;
      case absl::StatusCode::kNotFound:
        // Mounted where we cannot see it, or just gone: another namespace's affair.
        break;
      case absl::StatusCode::kInternal:
      case absl::StatusCode::kResourceExhausted:
      case absl::StatusCode::kInvalidArgument:
        run.AddUnknownItem(name, UnknownKind::kError, status.message());
        break;
      default:
        run.AddItem(name, Verdict::kCrit, absl::StrCat("does not answer: ", status.message()));
    }
  }

  /// Read-only is a failure only of what was writable once, or should be by fstab.
  void JudgeWritable(const Mount& mount, const std::string& key, FilesystemFacts& facts,
                     CheckMemory& memory) const {
    const std::string remembered = absl::StrCat(kWritablePrefix, key);
    facts.read_only = mount.read_only();
    if (!facts.read_only) {
      if (memory.Find(remembered) == nullptr) memory.Set(remembered, "1");
      return;
    }
    const FstabLine fstab = FindInFstab(fs_.Read("etc/fstab").value_or(""), mount.mount_point);
    const bool image = mount.type == "iso9660" || mount.type == "udf";
    if (fstab.found && fstab.read_only) {
      memory.Erase(remembered);
    } else if (!image) {
      facts.was_writable = fstab.found || memory.Find(remembered) != nullptr;
    }
  }

  /// Where ext4 keeps its record of a filesystem: under the name that its device had when it was
  /// mounted.
  ExtFiles& ExtFilesOf(const Mount& mount, const std::string& key) {
    const auto found = ext_.find(key);
    if (found != ext_.end()) return found->second;
    std::string device = fs_.ReadLink(absl::StrCat("sys/dev/block/", mount.major, ":", mount.minor))
                             .value_or(mount.source);
    device = device.substr(device.rfind('/') + 1);
    const std::string directory = absl::StrCat("sys/fs/ext4/", device, "/");
    ExtFiles files = {directory,
                      KeptFile(fs_, directory + "errors_count", KeptFile::Records::kOne)};
    return ext_.emplace(key, std::move(files)).first->second;
  }

  /// What ext4 has recorded: on Linux 6.1 it still says `rw` when it refuses to write.
  std::optional<FilesystemErrors> ReadErrors(const Mount& mount, const std::string& key,
                                             CheckRun& run) {
    if (!absl::StartsWith(mount.type, "ext")) return std::nullopt;
    ExtFiles& files = ExtFilesOf(mount, key);
    const std::string& directory = files.directory;
    FilesystemErrors errors;
    const auto count = files.errors_count.ReadTrimmed();
    if (!count.ok() || !absl::SimpleAtoi(*count, &errors.count)) return std::nullopt;

    const std::string remembered = absl::StrCat(kErrorsPrefix, key);
    const std::string* before = run.memory().Find(remembered);
    int64_t known = 0;
    errors.grew = before != nullptr && absl::SimpleAtoi(*before, &known) && errors.count > known;
    if (before == nullptr || known != errors.count) {
      run.memory().Set(remembered, absl::StrCat(errors.count));
    }
    if (errors.count == 0) return errors;
    int64_t last = 0;
    if (absl::SimpleAtoi(fs_.ReadTrimmed(directory + "last_error_time").value_or(""), &last) &&
        last > 0) {
      errors.last = absl::FromUnixSeconds(last);
    }
    errors.where = fs_.ReadTrimmed(directory + "last_error_func").value_or("");
    return errors;
  }

  void Forecast(const std::string& key, FilesystemFacts& facts, CheckRun& run) {
    const FilesystemUsage& usage = *facts.usage;
    if (usage.size_bytes <= 0 || facts.read_only) return;
    const std::string remembered = absl::StrCat(kSpacePrefix, key);
    const std::string* text = run.memory().Find(remembered);
    const auto [entry, is_new] = seen_.try_emplace(key);
    Seen& seen = entry->second;
    if (is_new && text != nullptr) seen.history = SpaceHistory::Parse(*text);
    seen.history.Add(run.now(), usage.available_bytes, usage.size_bytes);
    seen.recent.Add(run.now(), usage.available_bytes);
    const absl::Duration age = run.now() - seen.written;
    if (text == nullptr || age >= kHistoryInterval || age < absl::ZeroDuration()) {
      run.memory().Set(remembered, seen.history.Format());
      seen.written = run.now();
    }
    const SpaceForecast forecast = ForecastSpace(seen.history, seen.recent, usage.available_bytes,
                                                 usage.size_bytes, usage.UsedRatio(), options_);
    facts.full_in = forecast.full_in;
    facts.leak = forecast.leak;
  }

  bool IsIgnored(absl::string_view mount_point) const {
    return std::find(options_.ignore.begin(), options_.ignore.end(), mount_point) !=
           options_.ignore.end();
  }

  /// Bounds what is remembered: over the limit, everything not seen by this process goes.
  void TrimMemory(CheckMemory& memory) const {
    if (memory.entries().size() <= kRememberedMax) return;
    std::vector<std::string> old;
    for (const auto& [key, value] : memory.entries()) {
      const std::string filesystem = key.substr(key.find('/') + 1);
      if (!seen_.contains(filesystem)) old.push_back(key);
    }
    for (const std::string& key : old) memory.Erase(key);
  }

  const HostFs fs_;
  const DiskOptions options_;
  const std::unique_ptr<FilesystemStats> stats_;
  DiskDevices devices_;
  KeptFile mounts_;
  KeptFile own_mounts_;
  absl::Time mounts_read_ = absl::InfinitePast();  // when sorted_ was true
  std::vector<DiskMount> sorted_;
  std::string sorted_text_;              // what sorted_ was made from
  std::map<std::string, ExtFiles> ext_;  // by key, of the mounts in sorted_
  std::map<std::string, Seen> seen_;
  std::string mountinfo_ = "proc/1/mountinfo";
};

}  // namespace

std::unique_ptr<Check> MakeDiskCheckWith(const CheckEnv& env,
                                         std::unique_ptr<FilesystemStats> stats) {
  return std::make_unique<DiskCheck>(env, std::move(stats));
}

std::unique_ptr<Check> MakeDiskCheck(const CheckEnv& env) {
  // What a fixture host's mount points hold on this machine says nothing about that one.
  return MakeDiskCheckWith(env, env.fs.live() ? MakeFilesystemStats(env.program) : nullptr);
}

}  // namespace fleet::agent
