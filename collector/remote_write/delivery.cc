#include "collector/remote_write/delivery.h"

#include <algorithm>
#include <utility>

namespace fleet::collector {

Delivery::Delivery(Batch batch, std::shared_ptr<const HostLabels> host)
    : batch_(std::move(batch)), host_(std::move(host)) {
  if (batch_.samples() > 0) pieces_.push_back({.whole = true, .items = {}});
}

size_t Delivery::samples() const {
  return pieces_.front().whole ? batch_.samples() : pieces_.front().items.size();
}

int64_t Delivery::NewestOf(const Piece& piece) const {
  if (piece.whole) return batch_.newest_ms();
  return batch_.time_ms(piece.items.back());  // they are sorted by time
}

void Delivery::Forego(const KnownRefusals& known, absl::Time now, SampleCounts& counts) {
  if (done() || !known.MayRefuse(batch_, now)) return;
  std::vector<Batch::Item> rest;
  for (Piece& piece : pieces_) {
    for (const Batch::Item& item : piece.whole ? batch_.Items() : std::move(piece.items)) {
      DropReason reason;
      if (known.Refuses(batch_, item, now, reason)) {
        counts.Drop(reason);
      } else {
        rest.push_back(item);
      }
    }
  }
  pieces_.clear();
  if (rest.empty()) return;
  // Where one time was refused the next may be: one sample tells for all that share its time.
  std::vector<Batch::Item> first = {rest.front()};
  rest.erase(rest.begin());
  pieces_.push_back({.whole = false, .items = std::move(first)});
  if (!rest.empty()) pieces_.push_back({.whole = false, .items = std::move(rest)});
}

std::string Delivery::Body(SampleCounts& counts) {
  const Piece& piece = pieces_.front();
  std::string body;
  if (piece.whole) {
    batch_.Encode(*host_, body);
  } else {
    batch_.EncodeItems(*host_, piece.items, body);
  }
  if (body.size() <= kRequestBytesMax) return body;
  if (samples() > 1) {
    Split();
  } else {
    Drop(DropReason::kTooLarge, nullptr, absl::InfinitePast(), counts);
  }
  return {};
}

void Delivery::Split() {
  Piece piece = std::move(pieces_.front());
  pieces_.pop_front();
  std::vector<Batch::Item> items = piece.whole ? batch_.Items() : std::move(piece.items);
  const auto middle = items.begin() + static_cast<std::ptrdiff_t>(items.size() / 2);
  std::vector<Batch::Item> newer(middle, items.end());
  items.erase(middle, items.end());
  pieces_.push_front({.whole = false, .items = std::move(newer)});
  pieces_.push_front({.whole = false, .items = std::move(items)});
}

void Delivery::Drop(DropReason reason, KnownRefusals* known, absl::Time now, SampleCounts& counts) {
  const Batch::Item item =
      pieces_.front().whole ? batch_.Items().front() : pieces_.front().items.front();
  pieces_.pop_front();
  counts.Drop(reason);
  if (known != nullptr && known->Learn(batch_, item, reason, now)) Forego(*known, now, counts);
}

void Delivery::Apply(const Answer& answer, KnownRefusals& known, absl::Time now,
                     SampleCounts& counts) {
  switch (answer.kind) {
    case Answer::Kind::kTaken:
      counts.sent += samples();
      known.Taken(NewestOf(pieces_.front()));
      pieces_.pop_front();
      return;
    case Answer::Kind::kRefused:
    case Answer::Kind::kTooLarge:
      if (samples() > 1) return Split();
      return Drop(answer.kind == Answer::Kind::kTooLarge ? DropReason::kTooLarge : answer.reason,
                  &known, now, counts);
    case Answer::Kind::kRetry:
      return;
  }
}

}  // namespace fleet::collector
