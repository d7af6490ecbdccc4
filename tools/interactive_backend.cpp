#include "tools/interactive_backend.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>

#include "tools/ends_soon.h"
#include "tools/interrupt.h"
#include "tools/progress_bar.h"

namespace atlas::tools {

namespace {

using Clock = std::chrono::steady_clock;

std::atomic<Clock::rep> ticks_of_kernels = 0;

/// Shows itself while kernels are compiled; threads of the compilation share it.
class KernelBar {
  public:
    void show(size_t done, size_t total) {
        const std::scoped_lock lock(mutex_);
        if (total == 0) {
            if (ends_soon_) ticks_of_kernels += (Clock::now() - start_).count();
            ends_soon_.reset();
            return bar_.reset();
        }
        if (!ends_soon_) {
            start_ = Clock::now();
            ends_soon_.emplace();
        }
        if (!bar_) bar_.emplace("compiling", ProgressStyle{.unit = "kernels", .in_front = true});
        bar_->show(done, total);
    }

  private:
    std::mutex mutex_;
    std::optional<ProgressBar> bar_;
    std::optional<EndsSoon> ends_soon_;
    Clock::time_point start_;
};

}  // namespace

void make_interactive(VkBackendOptions& options) {
    options.stop_requested = [] {
        const auto stop = Interrupt::current();
        return stop && stop->stop_requested();
    };
    options.kernel_progress = [bar = std::make_shared<KernelBar>()](size_t done, size_t total) {
        bar->show(done, total);
    };
}

double kernels_ms() { return std::chrono::duration<double, std::milli>(Clock::duration(ticks_of_kernels)).count(); }

}  // namespace atlas::tools
