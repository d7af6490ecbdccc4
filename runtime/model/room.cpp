#include "runtime/model/room.h"

#include <algorithm>

#include "runtime/base/largest_fitting.h"
#include "runtime/base/units.h"

namespace atlas {

namespace {

tl::unexpected<Error> refuse(const MemoryPlan& plan, const Room& room, uint32_t fitting) {
    const uint64_t needed = missing_bytes(plan, room);
    if (needed <= room.available_bytes) {
        return fail(ErrorCode::limit,
                    "the keys or values of one layer for {} tokens need {} bytes, this device allocates at most {} in "
                    "one piece: take fewer tokens (a shorter context, a smaller pool)",
                    plan.n_ctx, plan.largest_storage_bytes, room.max_storage_bytes);
    }
    const std::string weights_part =
        room.weights_loaded ? "" : fmt::format("weights {}, ", bytes_text(plan.weights_bytes));
    const std::string hint = fitting > 0
                                 ? fmt::format("a context of {} tokens would fit", fitting)
                                 : std::string("no context fits: take a smaller model or a smaller quantization");
    return fail(ErrorCode::out_of_memory,
                "not enough device memory for a context of {} tokens: {} bytes are needed ({}: {}KV cache {}, scratch "
                "{}, the rest {}), "
                "{} bytes ({}) are there; {}",
                plan.n_ctx, needed, bytes_text(needed), weights_part, bytes_text(plan.kv_bytes),
                bytes_text(plan.scratch_bytes - std::min(plan.scratch_bytes, room.reserved_scratch_bytes)),
                bytes_text(plan.step_bytes + plan.output_bytes + plan.other_bytes), room.available_bytes,
                bytes_text(room.available_bytes), hint);
}

}  // namespace

Room room_on(const Backend& backend, uint64_t keep_free_bytes) {
    const uint64_t there = backend.budget().available_bytes;
    return {there - std::min(there, keep_free_bytes), backend.max_storage_bytes(), backend.scratch_bytes(), false};
}

uint64_t missing_bytes(const MemoryPlan& plan, const Room& room) {
    const uint64_t all = room.weights_loaded ? plan.session_bytes() + plan.other_bytes : plan.total_bytes();
    return all - std::min(plan.scratch_bytes, room.reserved_scratch_bytes);
}

bool fits(const MemoryPlan& plan, const Room& room) {
    return missing_bytes(plan, room) <= room.available_bytes && plan.largest_storage_bytes <= room.max_storage_bytes;
}

std::optional<MemoryPlan> longest_fitting(const Room& room, uint32_t least, uint32_t most,
                                          const std::function<MemoryPlan(uint32_t n_ctx)>& at) {
    const MemoryPlan whole = at(most);
    if (fits(whole, room)) return whole;
    const uint32_t low = std::max(1u, pages_for(least)), high = pages_for(most);
    if (low >= high) return std::nullopt;
    // Planning a context is expensive, because its scratch is counted by dry runs. What grows with the context is
    // nearly all cache, so the excess tells roughly how many pages are too many.
    const uint64_t needed = missing_bytes(whole, room);
    const uint64_t excess = needed - std::min(needed, room.available_bytes);
    const uint64_t excess_pages = excess / std::max<uint64_t>(1, whole.kv_bytes / high) + 1;
    const auto estimate = static_cast<uint32_t>(high - std::min<uint64_t>(high, excess_pages));
    std::optional<MemoryPlan> longest;
    largest_fitting_near(estimate, low - 1, high - 1, [&](uint32_t pages) {
        const MemoryPlan plan = at(pages * kPageTokens);
        if (!fits(plan, room)) return false;
        longest = plan;  // each one that fits is longer than the one before
        return true;
    });
    return longest;
}

Result<MemoryPlan> plan_within(const PlanInput& input, const SessionShape& shape, const Room& room) {
    ATLAS_TRY_VOID(check_shape(input.config, shape));
    const uint32_t wanted = shape.capacity() == 0 ? input.config.n_ctx_train : shape.capacity();
    const auto at = [&](uint32_t n_tokens) { return plan_memory(input, shape.with_capacity(n_tokens)).value(); };
    const auto longest = longest_fitting(room, kPageTokens, wanted, at);
    if (longest && (shape.capacity() == 0 || longest->n_ctx >= wanted)) return *longest;
    return refuse(at(wanted), room, longest ? longest->n_ctx : 0);
}

}  // namespace atlas
