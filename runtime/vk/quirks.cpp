// Facts about devices and drivers. Each row names its source.
#include "runtime/vk/quirks.h"

#include <algorithm>

#include "runtime/base/units.h"

namespace atlas::vk {
namespace {

// VkDriverId, from the Vulkan specification. Plain numbers: older headers lack the newer names.
constexpr uint32_t kDriverAmdProprietary = 1;
constexpr uint32_t kDriverIntelProprietaryWindows = 5;
constexpr uint32_t kDriverMoltenVk = 14;
constexpr uint32_t kDriverMesaDozen = 23;

/// Rates that a kernel of ours reaches even when it is written badly and the device is the weakest of its class. They
/// cut work into submissions, so a factor of ten too low costs submissions and nothing else; too high would let a
/// watchdog bite. Slowest devices thought of: discrete GTX 1050 (1.8 TFLOP/s, 112 GB/s), integrated UHD 620 (0.4
/// TFLOP/s, 30 GB/s shared with the CPU).
void set_rates(const DeviceCaps& caps, Quirks& quirks) {
    switch (caps.type) {
        case DeviceType::discrete:
        case DeviceType::virtual_gpu:
            quirks.gflops = 400;
            quirks.gbps = 50;
            break;
        case DeviceType::integrated:
            quirks.gflops = 80;
            quirks.gbps = 8;
            break;
        case DeviceType::software:
        case DeviceType::other:
            // lavapipe on two cores: 1.2 to 1.5 GB/s of 4-bit weights in a plain mat-vec (Mesa 25.0.7). Matrix products
            // reach 15 GFLOP/s there and 45 with Mesa 26.2, but attention an eighth of them in the same run (512 tokens
            // of SmolLM2, 2026-11-21), and there may be one core: the slowest kernel sets the rate. The products of a
            // prefill are therefore cut into many more submissions than they need, which costs little where a
            // submission is a call into a thread.
            quirks.gflops = 2;
            quirks.gbps = 1;
            break;
    }
}

/// A device that says how many compute units it has is no longer the weakest of its class: a 7B's prompt of 512 tokens
/// was cut into 190 submissions on an RTX 3090 by the rates of a GTX 1050. Per unit, a fifth of what 64 lanes do at 1.2
/// GHz (AMD's GCN; NVIDIA's have 64 at 1.5 GHz or 128 at 1.4), which is what the GTX 1050 is trusted with, and half of
/// the least bandwidth that a card's units share (L4: 5.2 GB/s). The memory of an integrated one is the system's, and
/// units of a virtual one may have other tenants.
void scale_rates(const DeviceCaps& caps, Quirks& quirks) {
    constexpr double kGflopsPerUnit = 30, kGbpsPerUnit = 2.5;
    if (caps.type != DeviceType::discrete && caps.type != DeviceType::integrated) return;
    quirks.gflops = std::max(quirks.gflops, kGflopsPerUnit * caps.compute_units);
    if (caps.type == DeviceType::discrete) quirks.gbps = std::max(quirks.gbps, kGbpsPerUnit * caps.compute_units);
}

void set_memory(const DeviceCaps& caps, Quirks& quirks) {
    quirks.max_slab_bytes = std::min(caps.max_allocation_bytes, caps.max_buffer_bytes);
    const MainHeap main = main_heap(caps);
    const uint64_t heap_bytes = main.found ? caps.heaps[main.index].bytes : 0;
    switch (caps.type) {
        case DeviceType::discrete:
            // The desktop on the same card may allocate more while we run: a browser's video, a second window.
            quirks.budget_margin_bytes = std::min(256 * kMiB, heap_bytes / 16);
            break;
        case DeviceType::integrated:
            // Its memory is the system's: what we allocate is missing for every other program.
            quirks.budget_margin_bytes = std::min(kGiB, heap_bytes / 8);
            break;
        case DeviceType::software:
            // Drivers without knowledge of the host report all of its memory as free.
            quirks.budget_fraction = 0.8;
            break;
        default:
            quirks.budget_margin_bytes = std::min(256 * kMiB, heap_bytes / 16);
            break;
    }
}

void set_driver_facts(const DeviceCaps& caps, Quirks& quirks) {
    switch (caps.driver_id) {
        case kDriverAmdProprietary:
            // A binding ends at 2 GiB there, so larger slabs gain nothing.
            if (quirks.max_slab_bytes > 2 * kGiB) {
                quirks.max_slab_bytes = 2 * kGiB;
                quirks.notes.push_back("single allocations are kept to 2 GiB");
            }
            break;
        case kDriverIntelProprietaryWindows:
            // Windows may count shared system memory in the budget of a card: it has been seen larger than the heap.
            quirks.notes.push_back("the budget is clamped to the heap");
            break;
        case kDriverMoltenVk:
            // Metal has no watchdog that we know of, but it commits whole command buffers at once; keep them short.
            quirks.max_dispatches = 100;
            break;
        case kDriverMesaDozen:
            // Not conformant (says so itself), and device creation has crashed under WSL (microsoft/wslg #1492).
            quirks.last_resort = true;
            quirks.notes.push_back("a translation to Direct3D 12, not conformant: the vendor's own driver is better");
            break;
        default:
            break;
    }
}

}  // namespace

Quirks quirks_for(const DeviceCaps& caps) {
    Quirks quirks;
    set_rates(caps, quirks);
    scale_rates(caps, quirks);
    set_memory(caps, quirks);
    quirks.slow = caps.type == DeviceType::software;
    set_driver_facts(caps, quirks);
    return quirks;
}

}  // namespace atlas::vk
