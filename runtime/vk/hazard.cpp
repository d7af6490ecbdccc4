#include "runtime/vk/hazard.h"

#include <algorithm>

namespace atlas::vk {
namespace {

using Intervals = std::map<uint64_t, uint64_t>;

bool overlaps(const Intervals& intervals, uint64_t first, uint64_t end) {
    auto after = intervals.lower_bound(first);
    if (after != intervals.end() && after->first < end) return true;
    return after != intervals.begin() && std::prev(after)->second > first;
}

void insert(Intervals& intervals, uint64_t first, uint64_t end) {
    auto it = intervals.lower_bound(first);
    if (it != intervals.begin() && std::prev(it)->second >= first) --it;
    while (it != intervals.end() && it->first <= end) {
        first = std::min(first, it->first);
        end = std::max(end, it->second);
        it = intervals.erase(it);
    }
    intervals.emplace(first, end);
}

}  // namespace

void HazardTracker::reset() { buffers_.clear(); }

bool HazardTracker::needs_barrier(std::span<const Binding> bindings) {
    bool hazard = false;
    for (const Binding& binding : bindings) {
        const auto touched = buffers_.find(binding.range.buffer);
        if (touched == buffers_.end() || binding.range.bytes == 0) continue;
        const uint64_t first = binding.range.offset_bytes, end = first + binding.range.bytes;
        hazard |= overlaps(touched->second.written, first, end);
        hazard |= binding.access != Access::read && overlaps(touched->second.read, first, end);
    }
    if (hazard) reset();
    for (const Binding& binding : bindings) {
        if (binding.range.bytes == 0) continue;
        Touched& touched = buffers_[binding.range.buffer];
        const uint64_t first = binding.range.offset_bytes, end = first + binding.range.bytes;
        if (binding.access != Access::read) insert(touched.written, first, end);
        if (binding.access != Access::write) insert(touched.read, first, end);
    }
    return hazard;
}

}  // namespace atlas::vk
