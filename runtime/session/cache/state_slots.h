#pragma once
// The states of layers that keep no keys and values of positions, but one state of fixed size per timeline.

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "runtime/model/load.h"
#include "runtime/session/cache/kv_pages.h"

namespace atlas {

/// A slot holds what every such layer keeps after some token of some timeline. A step reads one slot per timeline and
/// writes others, so a slot that holds a state does not change until its last reader is gone: a fork shares it, a
/// verify step writes one for each of its tokens, and accepting is keeping one of them. Nothing is ever copied.
/// Not thread-safe.
class StateSlots {
  public:
    StateSlots() = default;
    /// Allocates n_slots of them, or none for a model without such layers. Fails: out_of_memory.
    /// Of them max_checkpoints may hold states of earlier positions.
    static Result<StateSlots> create(Backend& backend, const ModelConfig& config, uint32_t n_slots,
                                     uint32_t max_checkpoints);

    bool exist() const { return !storages_.empty(); }
    /// Before the first token: zeros. No step writes to it.
    static constexpr uint32_t kStart = 0;
    static constexpr uint32_t kNone = UINT32_MAX;

    uint32_t n_slots() const { return slots_.n_pages(); }
    uint32_t n_free() const { return slots_.n_free(); }
    /// A slot with one reader, its contents undefined; nothing when all are read.
    std::optional<uint32_t> take() { return slots_.take(); }
    void share(uint32_t slot) { slots_.share(slot); }
    void drop(uint32_t slot) {
        slots_.drop(slot);
        if (slots_.is_free(slot)) n_checkpoints_ -= std::exchange(is_checkpoint_[slot], 0);
    }
    bool may_add_checkpoint() const { return n_checkpoints_ < max_checkpoints_; }
    /// The slot counts as a checkpoint until it is free.
    void add_checkpoint(uint32_t slot) { n_checkpoints_ += 1 - std::exchange(is_checkpoint_[slot], 1); }

    /// f32 [n_slots, state_bytes / 4] of every layer; empty for the others.
    std::span<const Tensor> layers() const { return layers_; }

  private:
    KvPages slots_{0};
    uint32_t max_checkpoints_ = 0, n_checkpoints_ = 0;
    std::vector<uint8_t> is_checkpoint_;  // [n_slots]
    std::vector<std::unique_ptr<Storage>> storages_;
    std::vector<Tensor> layers_;  // [n_layer]
};

}  // namespace atlas
