#pragma once
// Records work once, to be run any number of times. Recording itself cannot fail; finish() can.

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/vk/cost.h"
#include "runtime/vk/hazard.h"
#include "runtime/vk/kernel.h"
#include "runtime/vk/memory.h"

namespace atlas::vk {

struct Dispatch {
    const Kernel* kernel = nullptr;
    std::span<const Binding> bindings = {};  // kernel->n_bindings() of them
    std::span<const std::byte> push = {};    // kernel->push_bytes() long
    std::array<uint32_t, 3> groups{1, 1, 1};
    Cost cost = {};
};

/// Command buffers that can be submitted again and again (runs do not overlap), with everything they need. The memory
/// they touch and the kernels must outlive them, and so must the device.
class Recording {
  public:
    struct State;
    explicit Recording(std::unique_ptr<State> state);
    ~Recording();
    Recording(Recording&& other) noexcept;
    Recording& operator=(Recording&& other) noexcept;

    const std::string& name() const;
    size_t n_submissions() const;
    size_t n_dispatches() const;
    size_t n_barriers() const;  // derived ones; not the fixed ones at both ends of the recording
    const State& state() const { return *state_; }

  private:
    std::unique_ptr<State> state_;
};

struct RecorderOptions {
    bool profile = false;  // timestamps per label, read with profiler.h
};

class Recorder {
  public:
    struct State;
    Recorder(Device& device, std::string_view name, const RecorderOptions& options = {});
    ~Recorder();

    void dispatch(const Dispatch& dispatch);
    /// Copies from.bytes (= to.bytes) bytes. The two must not overlap.
    void copy(const BufferRange& from, const BufferRange& to);
    /// Fills with a 32-bit word; offset and size are multiples of 4.
    void fill(const BufferRange& range, uint32_t word);
    /// Names what follows, until the next label: for the profiler, for debuggers, and for "what was running" when the
    /// device is lost.
    void label(std::string_view name);

    /// Ends the recording: allocates descriptors and command buffers and writes them. Once. Fails: out_of_memory,
    /// device_lost.
    Result<Recording> finish();

  private:
    std::unique_ptr<State> state_;
};

}  // namespace atlas::vk
