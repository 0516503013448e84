#include <sys/utsname.h>

#include <cerrno>
#include <optional>

#include "absl/strings/str_cat.h"
#include "agent/change_stamp.h"
#include "agent/checks/checks.h"
#include "agent/kept_file.h"
#include "agent/parse/file_nr.h"
#include "agent/parse/os_release.h"
#include "agent/parse/text.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr MetricDesc kMetrics[] = {
    {"node_uname_info", MetricType::kGauge,
     "Labeled system information as provided by the uname system call.", true},
    {"node_os_info", MetricType::kGauge,
     "A metric with a constant '1' value labeled by the keys of os-release.", true},
    {"node_os_version", MetricType::kGauge,
     "Metric containing the major.minor part of the OS version.", true},
    {"node_filefd_allocated", MetricType::kGauge, "File descriptor statistics: allocated.", true},
    {"node_filefd_maximum", MetricType::kGauge, "File descriptor statistics: maximum.", true},
    {"node_entropy_available_bits", MetricType::kGauge, "Bits of available entropy.", true},
    {"node_entropy_pool_size_bits", MetricType::kGauge, "Bits of entropy pool.", true},
    {"node_selinux_enabled", MetricType::kGauge, "SELinux is enabled, 1 is true, 0 is false.",
     true},
};
constexpr const MetricDesc& kUname = kMetrics[0];
constexpr const MetricDesc& kOsInfo = kMetrics[1];
constexpr const MetricDesc& kOsVersion = kMetrics[2];
constexpr const MetricDesc& kFilesAllocated = kMetrics[3];
constexpr const MetricDesc& kFilesMaximum = kMetrics[4];
constexpr const MetricDesc& kEntropy = kMetrics[5];
constexpr const MetricDesc& kEntropyPool = kMetrics[6];
constexpr const MetricDesc& kSelinux = kMetrics[7];

struct Uname {
  std::string domainname, machine, nodename, release, sysname, version;
};

class KernelCheck final : public Check {
 public:
  explicit KernelCheck(const CheckEnv& env)
      : fs_(env.fs),
        options_(env.options.kernel),
        os_stamp_(env.fs, "etc/os-release"),
        entropy_(env.fs, "proc/sys/kernel/random/entropy_avail", KeptFile::Records::kOne),
        pool_(env.fs, "proc/sys/kernel/random/poolsize", KeptFile::Records::kOne),
        file_nr_(env.fs, "proc/sys/fs/file-nr", KeptFile::Records::kOne) {}

  absl::Span<const MetricDesc> metrics() const override { return kMetrics; }

  absl::Status Collect(CheckRun& run) override {
    FLEET_ASSIGN_OR_RETURN(const Uname uname, ReadUname());
    run.Add(kUname,
            {{"domainname", uname.domainname},
             {"machine", uname.machine},
             {"nodename", uname.nodename},
             {"release", uname.release},
             {"sysname", uname.sysname},
             {"version", uname.version}},
            1);
    run.Add(kSelinux, HasSelinux() ? 1 : 0);
    CollectEntropy(run);
    const absl::Status files = CollectFiles(run);
    FLEET_ASSIGN_OR_RETURN(const std::optional<OsRelease> os, CollectOsRelease(run));
    std::string reason = absl::StrCat(uname.sysname, " ", uname.release);
    if (os && !os->pretty_name.empty()) absl::StrAppend(&reason, ", ", os->pretty_name);
    if (run.report().reason.empty()) run.SetReason(reason);
    return files;
  }

 private:
  /// One system call on the running machine, whose six files would cost more; the files, where a
  /// kernel has them, of a fixture host.
  absl::StatusOr<Uname> ReadUname() const {
    if (fs_.live()) {
      utsname name = {};
      if (::uname(&name) != 0) return absl::ErrnoToStatus(errno, "uname");
      return Uname{.domainname = name.domainname,
                   .machine = name.machine,
                   .nodename = name.nodename,
                   .release = name.release,
                   .sysname = name.sysname,
                   .version = name.version};
    }
    Uname uname;
    FLEET_ASSIGN_OR_RETURN(uname.release, fs_.ReadTrimmed("proc/sys/kernel/osrelease"));
    const std::pair<absl::string_view, std::string*> files[] = {
        {"domainname", &uname.domainname},
        {"arch", &uname.machine},  // Linux 6.1
        {"hostname", &uname.nodename},
        {"ostype", &uname.sysname},
        {"version", &uname.version}};
    for (const auto& [name, value] : files) {
      *value = fs_.ReadTrimmed(absl::StrCat("proc/sys/kernel/", name)).value_or("");
    }
    return uname;
  }

  void CollectEntropy(CheckRun& run) {
    const auto add = [&](const MetricDesc& desc, KeptFile& file) {
      const auto text = file.ReadTrimmed();
      uint64_t bits = 0;
      if (text.ok() && ParseInteger(*text, bits)) run.Add(desc, static_cast<double>(bits));
    };
    add(kEntropy, entropy_);
    add(kEntropyPool, pool_);
  }

  absl::Status CollectFiles(CheckRun& run) {
    const absl::StatusOr<absl::string_view> text = file_nr_.Read();
    if (absl::IsNotFound(text.status())) return absl::OkStatus();
    FLEET_RETURN_IF_ERROR(text.status());
    FLEET_ASSIGN_OR_RETURN(const FileNr files, ParseFileNr(*text));
    run.Add(kFilesAllocated, static_cast<double>(files.allocated));
    run.Add(kFilesMaximum, static_cast<double>(files.maximum));
    if (files.maximum == 0) return absl::OkStatus();
    const double used = static_cast<double>(files.allocated) / static_cast<double>(files.maximum);
    if (used < options_.files_warn_ratio) return absl::OkStatus();
    run.Raise(used >= options_.files_crit_ratio ? Verdict::kCrit : Verdict::kWarn,
              absl::StrCat("open files nearly exhausted: ", files.allocated, " of ", files.maximum,
                           " (", HumanPercent(used), "), fs.file-max is the limit"));
    return absl::OkStatus();
  }

  /// The running kernel has it or not from its start on.
  bool HasSelinux() {
    if (!fs_.live() || !selinux_) selinux_ = fs_.Exists("sys/fs/selinux/enforce");
    return *selinux_;
  }

  absl::StatusOr<std::optional<OsRelease>> ReadOsRelease() const {
    absl::StatusOr<std::string> text = fs_.Read("etc/os-release");
    if (!text.ok()) text = fs_.Read("usr/lib/os-release");
    if (absl::IsNotFound(text.status())) return std::optional<OsRelease>();
    FLEET_RETURN_IF_ERROR(text.status());
    return ParseOsRelease(*text);
  }

  absl::StatusOr<std::optional<OsRelease>> CollectOsRelease(CheckRun& run) {
    if (os_stamp_.MayHaveChanged() || !os_stamp_.exists()) os_ = ReadOsRelease();
    FLEET_RETURN_IF_ERROR(os_.status());
    if (!os_->has_value()) return os_;
    const OsRelease& os = **os_;
    run.Add(kOsInfo,
            {{"build_id", os.build_id},
             {"id", os.id},
             {"id_like", os.id_like},
             {"image_id", os.image_id},
             {"image_version", os.image_version},
             {"name", os.name},
             {"pretty_name", os.pretty_name},
             {"variant", os.variant},
             {"variant_id", os.variant_id},
             {"version", os.version},
             {"version_codename", os.version_codename},
             {"version_id", os.version_id}},
            1);
    if (const double version = OsVersionNumber(os.version_id); version > 0) {
      run.Add(kOsVersion, {{"id", os.id}, {"id_like", os.id_like}, {"name", os.name}}, version);
    }
    return os_;
  }

  const HostFs fs_;
  const KernelOptions options_;
  ChangeStamp os_stamp_;
  absl::StatusOr<std::optional<OsRelease>> os_ = std::optional<OsRelease>();  // as of the stamp
  std::optional<bool> selinux_;
  KeptFile entropy_;
  KeptFile pool_;
  KeptFile file_nr_;
};

}  // namespace

std::unique_ptr<Check> MakeKernelCheck(const CheckEnv& env) {
  return std::make_unique<KernelCheck>(env);
}

}  // namespace fleet::agent
