#include "runtime/model/weight_places.h"

#include <algorithm>

namespace atlas {

namespace {

constexpr size_t kNowhere = SIZE_MAX;

class Placer {
  public:
    Placer(std::span<const ResolvedWeight> weights, uint64_t max_storage_bytes)
        : weights_(weights), max_storage_bytes_(max_storage_bytes) {
        places_.of.assign(weights.size(), {kNowhere, 0});
    }

    WeightPlaces place() {
        for (size_t i = 0; i < weights_.size(); ++i) {
            if (places_.of[i].storage != kNowhere) continue;
            if (weights_[i].together == Together::none)
                open(i);
            else
                place_group(i);
        }
        return std::move(places_);
    }

  private:
    // When a loaded model is planned for again, its file may be closed.
    static std::string name_of(const ResolvedWeight& weight) {
        return weight.source == nullptr ? "" : weight.source->name;
    }

    void open(size_t i) {
        places_.of[i] = {places_.storages.size(), 0};
        places_.storages.push_back({name_of(weights_[i]), weights_[i].bytes()});
    }

    // The weights that go together with this one, in the order of the rules: each after the one before if they fit
    // together, else in a storage of its own.
    void place_group(size_t first) {
        std::vector<size_t> group;
        for (size_t i = first; i < weights_.size(); ++i) {
            if (weights_[i].layer == weights_[first].layer && weights_[i].together == weights_[first].together)
                group.push_back(i);
        }
        std::sort(group.begin(), group.end(), [&](size_t a, size_t b) { return weights_[a].rule < weights_[b].rule; });
        size_t before = kNowhere;
        for (const size_t i : group) {
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
               before.bytes() ==
                   bytes_of(before.format,
                            uint64_t{before.rows} * before.cols) &&  // no half-filled group of blocks at its end
               places_.storages[places_.of[i].storage].bytes + next.bytes() <= max_storage_bytes_;
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
