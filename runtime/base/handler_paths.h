#pragma once
// Names of files that a signal handler may have to remove.

#include <algorithm>
#include <array>
#include <atomic>
#include <string>

namespace atlas {

/// A fixed table of paths, each with what the handler needs beside it. Normal code takes and frees places; each() is
/// async-signal-safe. A path that is too long, or that comes when all places are taken, is not in it.
template <class More, size_t n_places>
class HandlerPaths {
  public:
    static constexpr int kNone = -1;

    int take(const std::string& path, More more) {
        for (size_t i = 0; i < n_places && path.size() < places_[i].path.size(); ++i) {
            State expected = State::free;
            if (!places_[i].state.compare_exchange_strong(expected, State::changing)) continue;
            *std::copy(path.begin(), path.end(), places_[i].path.begin()) = '\0';
            places_[i].more = more;
            places_[i].state = State::taken;
            return static_cast<int>(i);
        }
        return kNone;
    }

    void free(int place) {
        if (place != kNone) places_[static_cast<size_t>(place)].state = State::free;
    }

    template <class Use>
    void each(const Use& use) noexcept {
        for (Place& place : places_)
            if (place.state == State::taken) use(place.path.data(), place.more);
    }

  private:
    enum class State { free, changing, taken };
    static_assert(std::atomic<State>::is_always_lock_free);
    struct Place {
        std::atomic<State> state{State::free};
        std::array<char, 4096> path{};
        More more{};
    };
    std::array<Place, n_places> places_;
};

}  // namespace atlas
