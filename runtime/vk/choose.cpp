// The choice of a device: pure functions of the devices' capabilities.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <tuple>

#include "runtime/base/in_quotes.h"
#include "runtime/vk/instance.h"
#include "runtime/vk/kernel.h"
#include "runtime/vk/quirks.h"

namespace atlas::vk {
namespace {

constexpr uint32_t kVulkan12 = (1u << 22) | (2u << 12);
constexpr uint32_t kMinSharedBytes = 32 * 1024;
constexpr uint32_t kMinWorkgroup = 256;
constexpr uint32_t kMinPushBytes = 128;

/// Smaller ranks are preferred.
auto rank(const DeviceCaps& caps) {
    const Quirks quirks = quirks_for(caps);
    int by_type = 0;
    switch (caps.type) {
        case DeviceType::discrete:
            by_type = 0;
            break;
        case DeviceType::integrated:
            by_type = 1;
            break;
        case DeviceType::virtual_gpu:
            by_type = 2;
            break;
        case DeviceType::other:
            by_type = 3;
            break;
        case DeviceType::software:
            by_type = 5;
            break;
    }
    if (quirks.last_resort) by_type = std::max(by_type, 4);
    const MainHeap main = main_heap(caps);
    const uint64_t bytes = main.found ? caps.heaps[main.index].bytes : 0;
    return std::tuple(by_type, UINT64_MAX - bytes);
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = char(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

std::string describe(std::span<const DeviceCaps> devices) {
    std::string text;
    for (size_t i = 0; i < devices.size(); ++i) {
        const std::string why = rejection_of(devices[i]);
        text += fmt::format("\n  {}: {} [{}]{}{}", i, printable(devices[i].name), devices[i].uuid_string(),
                            why.empty() ? "" : " rejected: ", why);
    }
    return text;
}

bool is_number(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// The devices that the wish fits. A number is always an index; a whole UUID or name is preferred to a part of a name.
std::vector<size_t> matching(std::span<const DeviceCaps> devices, std::string_view wish) {
    if (is_number(wish)) {
        size_t index = 0;
        const auto [end, error] = std::from_chars(wish.data(), wish.data() + wish.size(), index);
        return error == std::errc() && index < devices.size() ? std::vector{index} : std::vector<size_t>{};
    }
    const std::string wanted = lower(wish);
    std::vector<size_t> whole, part;
    for (size_t i = 0; i < devices.size(); ++i) {
        const std::string name = lower(devices[i].name);
        if (devices[i].uuid_string() == wanted || name == wanted) whole.push_back(i);
        if (name.find(wanted) != std::string::npos) part.push_back(i);
    }
    return whole.empty() ? part : whole;
}

Error no_such_device(std::span<const DeviceCaps> devices, std::string_view wish) {
    if (is_number(wish)) {
        const std::string indices =
            devices.size() == 1 ? "the only index is 0" : fmt::format("indices go from 0 to {}", devices.size() - 1);
        return {ErrorCode::invalid_argument,
                fmt::format("there is no device {}: {} (write more of a name that has this number in it). There are:{}",
                            wish, indices, describe(devices))};
    }
    return {ErrorCode::invalid_argument,
            fmt::format("no device is {} (an index, a UUID or a part of the name); there are:{}", in_quotes(wish),
                        describe(devices))};
}

std::string why_best(std::span<const DeviceCaps> devices, const std::vector<size_t>& usable, size_t best) {
    if (usable.size() == 1) return devices.size() == 1 ? "the only device" : "the only device that can run atlas-vk";
    const auto same =
        std::count_if(usable.begin(), usable.end(), [&](size_t i) { return devices[i].type == devices[best].type; });
    if (same == 1) return fmt::format("the only {} device", name_of(devices[best].type));
    return fmt::format("the {} device with the most memory", name_of(devices[best].type));
}

}  // namespace

std::string rejection_of(const DeviceCaps& caps) {
    if (caps.api_version < kVulkan12) {
        return fmt::format("its driver speaks Vulkan {}, we need 1.2 or newer: update it", caps.api_string());
    }
    std::string missing;
    auto need = [&](bool there, std::string_view what) {
        if (!there) missing += fmt::format("{}{}", missing.empty() ? "" : ", ", what);
    };
    need(caps.has_compute_queue, "a compute queue");
    need(caps.storage_16bit, "16-bit storage (storageBuffer16BitAccess)");
    need(caps.storage_8bit, "8-bit storage (storageBuffer8BitAccess)");
    need(caps.scalar_block_layout, "scalar block layout (scalarBlockLayout)");
    need(caps.timeline_semaphore, "timeline semaphores (timelineSemaphore)");
    need(caps.subgroup_basic && caps.subgroup_arithmetic, "subgroup arithmetic in compute shaders");
    if (caps.max_shared_bytes < kMinSharedBytes)
        need(false, fmt::format("32 KiB of shared memory (it has {})", caps.max_shared_bytes));
    if (caps.max_workgroup_invocations < kMinWorkgroup) {
        need(false,
             fmt::format("workgroups of {} invocations (it has {})", kMinWorkgroup, caps.max_workgroup_invocations));
    }
    if (caps.max_push_bytes < kMinPushBytes) need(false, fmt::format("{} bytes of push constants", kMinPushBytes));
    if (caps.max_storage_bindings < kMaxBindings) {
        need(false, fmt::format("{} storage buffers per shader (it has {})", kMaxBindings, caps.max_storage_bindings));
    }
    if (!missing.empty()) return "it lacks " + missing;
    if (!main_heap(caps).found) return "it has no memory (a null device for compiling shaders)";
    return quirks_for(caps).rejected;
}

std::string what_to_install() {
    return "Install your card's Vulkan driver: on Debian and Ubuntu `apt install mesa-vulkan-drivers` (AMD, Intel, and "
           "a software device "
           "that runs anywhere, slowly) or the NVIDIA driver with its Vulkan part; on Fedora `dnf install "
           "mesa-vulkan-drivers`; on Arch "
           "`pacman -S vulkan-radeon` (AMD), `vulkan-intel`, `nvidia-utils` or `vulkan-swrast`; elsewhere the vendor's "
           "driver. "
           "A user without access to /dev/dri needs the groups `render` and `video`.";
}

Result<DeviceChoice> choose_device(std::span<const DeviceCaps> devices, std::string_view wish) {
    if (devices.empty()) return fail(ErrorCode::no_device, "no Vulkan device was found. {}", what_to_install());
    std::vector<size_t> candidates;
    if (wish.empty()) {
        for (size_t i = 0; i < devices.size(); ++i) candidates.push_back(i);
    } else {
        candidates = matching(devices, wish);
        if (candidates.empty()) return tl::unexpected(no_such_device(devices, wish));
    }
    std::vector<size_t> usable;
    for (size_t i : candidates) {
        if (rejection_of(devices[i]).empty()) usable.push_back(i);
    }
    if (usable.empty()) {
        if (!wish.empty()) {
            return fail(ErrorCode::invalid_argument, "device {} ({}) cannot run atlas-vk: {}", candidates[0],
                        printable(devices[candidates[0]].name), rejection_of(devices[candidates[0]]));
        }
        return fail(ErrorCode::no_device, "no Vulkan device can run atlas-vk:{}\n{}", describe(devices),
                    what_to_install());
    }
    if (!wish.empty() && usable.size() > 1) {
        return fail(ErrorCode::invalid_argument, "{} fits {} devices; take an index or a UUID:{}", in_quotes(wish),
                    usable.size(), describe(devices));
    }
    const size_t best = *std::min_element(usable.begin(), usable.end(),
                                          [&](size_t a, size_t b) { return rank(devices[a]) < rank(devices[b]); });
    if (!wish.empty()) return DeviceChoice{best, fmt::format("asked for as {}", in_quotes(wish))};
    return DeviceChoice{best, why_best(devices, usable, best)};
}

}  // namespace atlas::vk
