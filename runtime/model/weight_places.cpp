#include "runtime/model/weight_places.h"

#include <algorithm>
#include <array>

namespace atlas {

namespace {

using Slot = Tensor LayerWeights::*;
constexpr Slot kNone = nullptr;
constexpr std::array<std::array<Slot, 4>, 3> kTogether = {{{&LayerWeights::attn_q, &LayerWeights::attn_k, &LayerWeights::attn_v},
                                                           {&LayerWeights::attn_q_bias, &LayerWeights::attn_k_bias, &LayerWeights::attn_v_bias, &LayerWeights::key_shift},
                                                           {&LayerWeights::ffn_gate, &LayerWeights::ffn_up}}};

constexpr size_t kNowhere = SIZE_MAX;

class Placer {
  public:
    Placer(std::span<const ResolvedWeight> weights, uint64_t max_storage_bytes) : weights_(weights), max_storage_bytes_(max_storage_bytes) {
        places_.of.assign(weights.size(), {kNowhere, 0});
    }

    WeightPlaces place() {
        for (size_t i = 0; i < weights_.size(); ++i) {
            if (places_.of[i].storage != kNowhere) continue;
            for (const auto& slots : kTogether) {
                if (weights_[i].layer_slot != nullptr && std::find(slots.begin(), slots.end(), weights_[i].layer_slot) != slots.end()) {
                    place_layer(weights_[i].layer, slots);
                }
            }
            if (places_.of[i].storage == kNowhere) open(i);
        }
        return std::move(places_);
    }

  private:
    // Of a loaded model that is planned for again the file may be closed.
    static std::string name_of(const ResolvedWeight& weight) { return weight.source == nullptr ? "" : weight.source->name; }

    void open(size_t i) {
        places_.of[i] = {places_.storages.size(), 0};
        places_.storages.push_back({name_of(weights_[i]), weights_[i].bytes()});
    }

    // The weights of a layer in the order of its slots: each behind the one before if they fit together, else in a storage of its own.
    void place_layer(uint32_t layer, std::span<const Slot> slots) {
        size_t before = kNowhere;
        for (const Slot slot : slots) {
            const size_t i = find(layer, slot);
            if (i == kNowhere) continue;
            if (before != kNowhere && fits_behind(weights_[before], weights_[i])) {
                WeightPlaces::Piece& piece = places_.storages[places_.of[before].storage];
                places_.of[i] = {places_.of[before].storage, piece.bytes};
                piece.bytes += weights_[i].bytes();
                piece.name += ", " + name_of(weights_[i]);
            } else {
                open(i);
            }
            before = i;
        }
    }

    bool fits_behind(const ResolvedWeight& before, const ResolvedWeight& next) const {
        const size_t i = size_t(&before - weights_.data());
        return before.format == next.format && before.layout == next.layout && (before.rows > 1) == (next.rows > 1) &&
               (before.rows == 1 || before.cols == next.cols) &&
               before.bytes() == bytes_of(before.format, uint64_t{before.rows} * before.cols) &&  // no half-filled group of blocks at its end
               places_.storages[places_.of[i].storage].bytes + next.bytes() <= max_storage_bytes_;
    }

    size_t find(uint32_t layer, Slot slot) const {
        if (slot == kNone) return kNowhere;
        const auto found = std::find_if(weights_.begin(), weights_.end(),
                                        [&](const ResolvedWeight& w) { return w.layer_slot == slot && w.layer == layer; });
        return found == weights_.end() ? kNowhere : size_t(found - weights_.begin());
    }

    std::span<const ResolvedWeight> weights_;
    uint64_t max_storage_bytes_;
    WeightPlaces places_;
};

}  // namespace

WeightPlaces place_weights(std::span<const ResolvedWeight> weights, uint64_t max_storage_bytes) {
    return Placer(weights, max_storage_bytes).place();
}

}  // namespace atlas
