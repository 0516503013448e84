#include "collector/gzip.h"

#include <isa-l/igzip_lib.h>

#include <array>

#include "common/status_macros.h"

namespace fleet::collector {

struct GzipStream::Impl {
  isal_zstream stream;
  std::array<uint8_t, ISAL_DEF_LVL1_DEFAULT> level_buffer;
};

GzipStream::GzipStream() : impl_(std::make_unique<Impl>()) {
  isal_deflate_init(&impl_->stream);
  impl_->stream.level = 1;
  impl_->stream.level_buf = impl_->level_buffer.data();
  impl_->stream.level_buf_size = static_cast<uint32_t>(impl_->level_buffer.size());
  impl_->stream.gzip_flag = IGZIP_GZIP;
  impl_->stream.flush = NO_FLUSH;
}
GzipStream::~GzipStream() = default;

void GzipStream::Compress(absl::string_view piece, bool last, std::string& out) {
  isal_zstream& stream = impl_->stream;
  // ISA-L does not write to its input.
  stream.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(piece.data()));
  stream.avail_in = static_cast<uint32_t>(piece.size());
  stream.end_of_stream = last ? 1 : 0;
  std::array<char, size_t{32} * 1024> buffer;
  do {
    stream.next_out = reinterpret_cast<uint8_t*>(buffer.data());
    stream.avail_out = static_cast<uint32_t>(buffer.size());
    const int result = isal_deflate(&stream);
    FLEET_ASSERT(result == COMP_OK);
    out.append(buffer.data(), buffer.size() - stream.avail_out);
  } while (stream.avail_out == 0);
  FLEET_ASSERT(stream.avail_in == 0);
}

}  // namespace fleet::collector
