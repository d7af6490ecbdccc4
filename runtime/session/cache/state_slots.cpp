#include "runtime/session/cache/state_slots.h"

namespace atlas {

Result<StateSlots> StateSlots::create(Backend& backend, const ModelConfig& config, uint32_t n_slots,
                                      uint32_t max_checkpoints) {
    StateSlots made;
    const auto sizes = state_storages(config, n_slots);
    made.layers_.resize(config.n_layer());
    if (sizes.empty()) return made;
    backend.expect(MemoryUse::kv, sizes);
    for (uint32_t il = 0; il < config.n_layer(); ++il) {
        const uint64_t bytes = config.layers[il].cache().state_bytes;
        if (bytes == 0) continue;
        ATLAS_TRY(auto storage, backend.allocate(MemoryUse::kv, n_slots * bytes, fmt::format("state.{}", il)));
        made.layers_[il] = dense(*storage, Format::f32, n_slots, static_cast<uint32_t>(bytes / sizeof(float)));
        made.storages_.push_back(std::move(storage));
    }
    made.slots_ = KvPages(n_slots);
    made.max_checkpoints_ = max_checkpoints;
    made.is_checkpoint_.resize(n_slots);
    const auto start = made.slots_.take();
    ATLAS_CHECK(start == kStart, "slot {} is the first", start.value_or(kNone));
    return made;
}

}  // namespace atlas
