#include "agent/checks/pressure_window.h"

#include <algorithm>

#include "common/status_macros.h"

namespace fleet::agent {

absl::StatusOr<std::optional<Pressure>> ReadPressure(KeptFile& file) {
  const absl::StatusOr<absl::string_view> text = file.Read();
  if (absl::IsNotFound(text.status()) || absl::IsUnimplemented(text.status())) {
    return std::optional<Pressure>();
  }
  FLEET_RETURN_IF_ERROR(text.status());
  FLEET_ASSIGN_OR_RETURN(const Pressure pressure, ParsePressure(*text));
  return std::optional<Pressure>(pressure);
}

double PressureWindow::Update(SteadyTime now, const PressureLine& line, double kernel_average) {
  const auto at = [this](size_t i) -> Point& { return points_[(first_ + i) % kPointsMax]; };
  // A total that fell means another boot.
  if (size_ > 0 && at(size_ - 1).total_us > line.total_us) size_ = 0;
  while (size_ > 1 && now - at(1).time >= window_) {
    first_ = (first_ + 1) % kPointsMax;
    --size_;
  }
  double ratio = kernel_average;
  if (size_ > 0) {
    const absl::Duration span = now - at(0).time;
    if (span >= window_ / 2 && span < window_ * 2) {
      ratio =
          static_cast<double>(line.total_us - at(0).total_us) / 1e6 / absl::ToDoubleSeconds(span);
    }
  }
  // A short interval would push the window's far end out: points keep a distance.
  const absl::Duration distance = window_ / (kPointsMax - 2);
  if (size_ == 0 || now - at(size_ - 1).time >= distance) {
    if (size_ == kPointsMax) {
      first_ = (first_ + 1) % kPointsMax;
      --size_;
    }
    at(size_++) = {now, line.total_us};
  }
  return std::clamp(ratio, 0.0, 1.0);
}

}  // namespace fleet::agent
