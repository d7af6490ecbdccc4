#include "runtime/base/threads.h"

#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace atlas {

void on_threads(uint32_t n_threads, const std::function<void()>& work) {
    std::mutex mutex;
    std::exception_ptr first;
    const auto guarded = [&]() noexcept {
        try {
            work();
        } catch (...) {
            const std::scoped_lock lock(mutex);
            if (!first) first = std::current_exception();
        }
    };
    {
        std::vector<std::jthread> others;  // joins at the end of this block
        try {
            others.reserve(n_threads);
            for (uint32_t i = 1; i < n_threads; ++i) others.emplace_back(guarded);
        } catch (const std::exception&) {
            // No more threads, or no memory for one: the threads that did start do the work.
        }
        guarded();
    }
    if (first) std::rethrow_exception(first);
}

}  // namespace atlas
