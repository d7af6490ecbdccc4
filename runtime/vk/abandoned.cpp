#include "runtime/vk/abandoned.h"

#include <mutex>
#include <vector>

namespace atlas::vk {
namespace {

struct Kept {
    std::mutex mutex;
    std::vector<std::shared_ptr<void>> objects;
};

// Never destroyed and always reachable, so that leak checkers report nothing.
Kept& kept() {
    static Kept* const all = new Kept;
    return *all;
}

}  // namespace

void abandon(std::shared_ptr<void> object) {
    const std::lock_guard lock(kept().mutex);
    kept().objects.push_back(std::move(object));
}

bool any_abandoned() {
    const std::lock_guard lock(kept().mutex);
    return !kept().objects.empty();
}

}  // namespace atlas::vk
