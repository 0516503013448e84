#include "common/probe/run.h"

namespace fleet::probe {
namespace {

class UnbuiltRun final : public Run {
 public:
  using Run::Run;

 private:
  void Start() override {
    CannotTell(UnknownKind::kError, "this kind of probe is not part of this build");
  }
  std::string Doing() const override { return ""; }
  void Release() override {}
  void AddSamples(SampleSet&) const override {}
  Timings Phases() const override { return {}; }
};

}  // namespace

std::unique_ptr<Run> MakeUnbuiltRun(const Context& context, Spec spec, Run::Finished finished) {
  return std::make_unique<UnbuiltRun>(context, std::move(spec), std::move(finished));
}

}  // namespace fleet::probe
