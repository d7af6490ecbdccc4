#include "runtime/vk/profiler.h"

#include <volk.h>

#include "runtime/vk/device.h"
#include "runtime/vk/recording.h"
#include "runtime/vk/vk_error.h"

namespace atlas::vk {

Result<std::vector<LabelTime>> label_times(Device& device, const Recording& recording) {
    const Recording::State& state = recording.state();
    if (state.queries == nullptr) {
        return fail(
            ErrorCode::unsupported, "{}: no timestamps: {}", recording.name(),
            device.caps().timestamp_valid_bits == 0 ? "this device has none" : "it was not recorded for profiling");
    }
    std::vector<uint64_t> ticks(state.n_queries);
    const VkResult result =
        vkGetQueryPoolResults(device.handle(), state.queries, 0, state.n_queries, ticks.size() * sizeof(uint64_t),
                              ticks.data(), sizeof(uint64_t), VK_QUERY_RESULT_64_BIT);
    if (result == VK_NOT_READY) return fail(ErrorCode::invalid_argument, "{}: has not been run yet", recording.name());
    ATLAS_TRY_VOID(check(result, "reading timestamps"));
    const uint32_t bits = device.caps().timestamp_valid_bits;
    const uint64_t mask = bits >= 64 ? UINT64_MAX : (uint64_t{1} << bits) - 1;
    std::vector<LabelTime> times;
    for (const Recording::State::Span& span : state.spans) {
        LabelTime* time = nullptr;
        for (LabelTime& known : times) {
            if (known.label == span.label) time = &known;
        }
        if (!time) time = &times.emplace_back(LabelTime{.label = span.label});
        const uint64_t passed =
            (ticks[span.first_query + 1] - ticks[span.first_query]) & mask;  // the counter may wrap around
        time->ms += double(passed) * double(device.caps().timestamp_period_ns) * 1e-6;
        time->dispatches += span.dispatches;
    }
    return times;
}

}  // namespace atlas::vk
