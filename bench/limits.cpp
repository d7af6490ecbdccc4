#include "bench/limits.h"

#include <algorithm>
#include <functional>

#include "bench/samples.h"
#include "runtime/vk/device.h"
#include "runtime/vk/instance.h"
#include "runtime/vk/kernel.h"
#include "runtime/vk/memory.h"
#include "runtime/vk/recorder.h"
#include "runtime/vk/submit.h"
#include "shaders/kernel_table.h"
#include "shaders/push/bench_peak.h"

namespace atlas::bench {

namespace {

constexpr int kUse = 0;
constexpr int kRuns = 5;

/// A device and two buffers on it.
class Bench {
  public:
    explicit Bench(vk::Device& device) : device_(device), software_(device.quirks().slow) {}

    Result<void> open() {
        const uint64_t wanted = software_ ? 64u << 20 : 1u << 30;  // far more than any cache keeps
        bytes_ = std::min(wanted, device_.memory().heap().available_bytes / 4) & ~uint64_t{0xffff};
        bytes_ = std::min(bytes_, device_.caps().max_storage_buffer_range & ~uint64_t{0xffff});
        ATLAS_TRY(from_, device_.memory().allocate(kUse, bytes_, "bench from"));
        ATLAS_TRY(to_, device_.memory().allocate(kUse, bytes_, "bench to"));
        return {};
    }
    ~Bench() {
        if (from_) device_.memory().release(from_);
        if (to_) device_.memory().release(to_);
    }

    Result<double> copy_gb_per_s() {
        const int repeats = software_ ? 1 : 8;
        ATLAS_TRY(const double seconds, best_seconds([&](vk::Recorder& recorder) {
                      for (int i = 0; i < repeats; ++i) recorder.copy(from_, to_);
                  }));
        return 2.0 * double(bytes_) * repeats / seconds * 1e-9;
    }

    Result<double> read_gb_per_s() {
        const int repeats = software_ ? 1 : 8;
        ATLAS_TRY(const vk::Kernel* kernel, get(KernelFamily::peak_read, {software_ ? 8u : 256u}, 0));
        ATLAS_TRY(const double seconds, best_seconds([&](vk::Recorder& recorder) {
                      for (int i = 0; i < repeats; ++i)
                          dispatch(recorder, kernel, uint32_t(bytes_ / 16), software_ ? 64 : 4096);
                  }));
        return double(bytes_) * repeats / seconds * 1e-9;
    }

    Result<double> fma_tflop_per_s() {
        const uint32_t lanes = software_ ? 8 : 256, groups = software_ ? 64 : 4096;
        ATLAS_TRY(const vk::Kernel* kernel, get(KernelFamily::peak_fma, {lanes}, 0));
        return arithmetic(kernel, groups, 32.0 * lanes * groups);
    }

    /// 0 where the device has no f16 -> f32 matrices.
    Result<double> matrix_tflop_per_s() {
        const vk::DeviceCaps& caps = device_.caps();
        if (!caps.coopmat || !has_kernel(KernelFamily::peak_coopmat)) return 0.0;
        double best = 0;
        for (const vk::CoopMatShape& s : caps.coopmat_shapes) {
            using enum vk::ComponentType;
            if (!s.subgroup_scope || s.saturating || s.a != f16 || s.b != f16 || s.c != f32 || s.result != f32)
                continue;
            const uint32_t subgroups = software_ ? 1 : 4, groups = software_ ? 16 : 2048,
                           lanes = caps.subgroup_size * subgroups;
            ATLAS_TRY(const vk::Kernel* kernel, get(KernelFamily::peak_coopmat, {lanes, s.m, s.n, s.k},
                                                    caps.subgroup_size_control ? caps.subgroup_size : 0));
            ATLAS_TRY(const double rate, arithmetic(kernel, groups, 8.0 * s.m * s.n * s.k * subgroups * groups));
            best = std::max(best, rate);
        }
        return best;
    }

  private:
    Result<const vk::Kernel*> get(KernelFamily family, std::vector<uint32_t> constants, uint32_t subgroup_size) {
        const KernelModule& module = kernel_module(family);
        return device_.kernels().get({.spirv = module.spirv,
                                      .name = module.name,
                                      .spec_constants = std::move(constants),
                                      .n_bindings = 2,
                                      .push_bytes = sizeof(push::BenchPeakPush),
                                      .required_subgroup_size = subgroup_size});
    }

    void dispatch(vk::Recorder& recorder, const vk::Kernel* kernel, uint32_t n, uint32_t groups) {
        const push::BenchPeakPush push{n, 0};
        const vk::Binding bindings[] = {{from_, vk::Access::read}, {to_.sub(0, 65536), vk::Access::write}};
        recorder.dispatch({.kernel = kernel,
                           .bindings = bindings,
                           .push = std::as_bytes(std::span(&push, 1)),
                           .groups = {groups, 1, 1}});
    }

    /// More rounds until a run is long enough to time and far from any driver's limit.
    Result<double> arithmetic(const vk::Kernel* kernel, uint32_t groups, double flops_per_round) {
        for (uint32_t rounds = 64;; rounds *= 4) {
            ATLAS_TRY(const double seconds,
                      best_seconds([&](vk::Recorder& recorder) { dispatch(recorder, kernel, rounds, groups); }));
            if (seconds > 0.01 || rounds >= (1u << 20)) return flops_per_round * rounds / seconds * 1e-12;
        }
    }

    Result<double> best_seconds(const std::function<void(vk::Recorder&)>& record) {
        vk::Recorder recorder(device_, "limits");
        record(recorder);
        ATLAS_TRY(const vk::Recording recording, recorder.finish());
        double best = 1e30;
        for (int i = 0; i <= kRuns; ++i) {
            const Stopwatch watch;
            ATLAS_TRY_VOID(device_.queue().run(recording));
            if (i > 0) best = std::min(best, watch.seconds());  // the first run warms up
        }
        return std::max(best, 1e-9);
    }

    vk::Device& device_;
    bool software_;
    uint64_t bytes_ = 0;
    vk::BufferRange from_, to_;
};

}  // namespace

Result<DeviceLimits> measure_limits(std::string_view wish) {
    ATLAS_TRY(const auto instance, vk::Instance::create({}));
    ATLAS_TRY(const auto entries, instance.devices());
    std::vector<vk::DeviceCaps> caps;
    for (const vk::DeviceEntry& entry : entries) caps.push_back(entry.caps);
    ATLAS_TRY(const vk::DeviceChoice choice, vk::choose_device(caps, wish));
    ATLAS_TRY(const auto device, vk::Device::create(instance, entries[choice.index]));
    Bench bench(*device);
    ATLAS_TRY_VOID(bench.open());
    DeviceLimits limits;
    ATLAS_TRY(limits.copy_gb_per_s, bench.copy_gb_per_s());
    ATLAS_TRY(limits.read_gb_per_s, bench.read_gb_per_s());
    ATLAS_TRY(limits.fma_tflop_per_s, bench.fma_tflop_per_s());
    ATLAS_TRY(limits.matrix_tflop_per_s, bench.matrix_tflop_per_s());
    return limits;
}

}  // namespace atlas::bench
