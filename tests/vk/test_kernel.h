#pragma once
// The one kernel of these tests, see scale_add.comp, and shorthands to run it.

#include <algorithm>
#include <cstring>
#include <vector>

#include "runtime/vk/kernel.h"
#include "runtime/vk/memory.h"
#include "runtime/vk/recorder.h"
#include "runtime/vk/submit.h"
#include "runtime/vk/upload.h"
#include "scale_add.h"
#include "tests/vk/test_device.h"

namespace atlas::vk {

struct ScaleAdd {
    uint32_t n;
    float scale;
};

inline KernelSpec scale_add_spec(uint32_t group = 64, uint32_t repeats = 1) {
    return {.spirv = spv_scale_add,
            .name = "scale_add",
            .spec_constants = {group, repeats},
            .n_bindings = 3,
            .push_bytes = sizeof(ScaleAdd)};
}

inline BufferRange floats(Device& device, uint32_t n, float value, std::string_view name) {
    auto range = device.memory().allocate(0, n * 4, name);
    if (!range) {
        ADD_FAILURE() << range.error().message;
        return {};
    }
    const std::vector<float> values(n, value);
    EXPECT_TRUE(device.uploader().upload(*range, 0, std::as_bytes(std::span(values))));
    EXPECT_TRUE(device.uploader().finish());
    return *range;
}

inline std::vector<float> read_floats(Device& device, const BufferRange& range) {
    std::vector<float> values(range.bytes / 4);
    auto done = device.uploader().download(range, 0, std::as_writable_bytes(std::span(values)));
    if (!done) ADD_FAILURE() << done.error().message;
    return values;
}

/// z = scale * x + y over all of z, with the declared accesses (z is written).
inline void record_scale_add(Recorder& recorder, const Kernel& kernel, const BufferRange& x, const BufferRange& y,
                             const BufferRange& z, float scale = 1, Access z_access = Access::write, Cost cost = {}) {
    const ScaleAdd push{uint32_t(z.bytes / 4), scale};
    const std::array<Binding, 3> bindings = {Binding{x, Access::read}, Binding{y, Access::read}, Binding{z, z_access}};
    recorder.dispatch({.kernel = &kernel,
                       .bindings = bindings,
                       .push = std::as_bytes(std::span(&push, 1)),
                       .groups = {(push.n + 63) / 64, 1, 1},
                       .cost = cost});
}

}  // namespace atlas::vk
