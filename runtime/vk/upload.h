#pragma once
// Bytes between the host and the device outside of recordings.

#include <cstddef>
#include <memory>
#include <span>

#include "runtime/base/error.h"
#include "runtime/vk/memory.h"

namespace atlas::vk {

/// Bytes of Placement::staging that it allocates at its first upload to memory that is not mapped.
inline constexpr uint64_t kUploadRingBytes = uint64_t{24} << 20;

class Uploader {
  public:
    explicit Uploader(Device& device);
    ~Uploader();

    /// Copies bytes to range[first_byte ...]: at once into mapped memory, else through a ring of staging buffers while
    /// earlier pieces are still on their way. The span may be reused at once; the device has them all after finish().
    /// No run may be using the range.
    Result<void> upload(const BufferRange& to, uint64_t first_byte, std::span<const std::byte> bytes);
    Result<void> finish();

    /// Reads range[first_byte ...] back; waits. For small things: large results belong in Placement::host_read.
    Result<void> download(const BufferRange& from, uint64_t first_byte, std::span<std::byte> bytes);

    /// Copies from one range of the device to another of the same size; the two must not overlap. Waits.
    Result<void> copy(const BufferRange& from, const BufferRange& to);

    /// Writes zeros over the range and waits.
    Result<void> zero(const BufferRange& range);

    /// Tests: always stage, even where the memory is mapped.
    void stage_always(bool on);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace atlas::vk
