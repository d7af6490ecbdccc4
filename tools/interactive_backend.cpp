#include "tools/interactive_backend.h"

#include <memory>
#include <mutex>
#include <optional>

#include "tools/ends_soon.h"
#include "tools/interrupt.h"
#include "tools/progress_bar.h"

namespace atlas::tools {

namespace {

/// Shows itself while kernels are compiled; threads of the compilation share it.
class KernelBar {
  public:
    void show(size_t done, size_t total) {
        const std::scoped_lock lock(mutex_);
        if (total == 0) {
            ends_soon_.reset();
            return bar_.reset();
        }
        if (!ends_soon_) ends_soon_.emplace();
        if (!bar_) bar_.emplace("compiling", ProgressStyle{.unit = "kernels", .in_front = true});
        bar_->show(done, total);
    }

  private:
    std::mutex mutex_;
    std::optional<ProgressBar> bar_;
    std::optional<EndsSoon> ends_soon_;
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

}  // namespace atlas::tools
