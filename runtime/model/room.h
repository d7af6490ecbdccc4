#pragma once
// Whether something fits: the only place that compares what is needed with what is there. The loader, a new session,
// the choice of a context, a draft beside a model and the plan of a model that is not here all ask it.

#include <functional>
#include <optional>

#include "runtime/model/memory_plan.h"

namespace atlas {

/// What there is for a model and its session.
struct Room {
    uint64_t available_bytes = 0;
    uint64_t max_storage_bytes = UINT64_MAX;  // the largest single storage
    uint64_t reserved_scratch_bytes = 0;      // Backend::scratch_bytes: there already
    bool weights_loaded = false;              // so are the weights
};
/// A backend as it is now, with `keep_free_bytes` left to others.
Room room_on(const Backend& backend, uint64_t keep_free_bytes = 0);

/// The part of a plan that is still to be allocated.
uint64_t missing_bytes(const MemoryPlan& plan, const Room& room);
bool fits(const MemoryPlan& plan, const Room& room);

/// The plan of the longest context of `least` to `most` tokens that fits, in whole pages; nothing if `least` tokens do
/// not. `at` plans a context; a longer one must not need less.
std::optional<MemoryPlan> longest_fitting(const Room& room, uint32_t least, uint32_t most,
                                          const std::function<MemoryPlan(uint32_t n_ctx)>& at);

/// The plan of a session that fits. With n_ctx 0 the largest context that does, at most the model's own.
/// Fails: as check_shape; out_of_memory with the bytes needed, the bytes there, and the largest context that would fit,
/// if any does; limit (the keys or values of a layer need more than one storage may have).
Result<MemoryPlan> plan_within(const PlanInput& input, const SessionShape& shape, const Room& room);

}  // namespace atlas
