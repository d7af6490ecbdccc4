#include "shaders/kernel_table.h"

#include <vector>

#include "runtime/base/check.h"

namespace {
#include "kernels_spv.inc"
}

namespace atlas {

std::span<const KernelModule> kernel_modules() {
    static const std::vector<KernelModule> modules = {
#define ATLAS_KERNEL(family, weight, symbol, name) KernelModule{KernelFamily::family, WeightAxis::weight, symbol, name},
#include "kernels.inc"
#undef ATLAS_KERNEL
    };
    return modules;
}

namespace {

const KernelModule* find(KernelFamily family, WeightAxis weight) {
    for (const KernelModule& module : kernel_modules()) {
        if (module.family == family && module.weight == weight) return &module;
    }
    return nullptr;
}

}  // namespace

const KernelModule& kernel_module(KernelFamily family, WeightAxis weight) {
    const KernelModule* module = find(family, weight);
    ATLAS_CHECK(module != nullptr, "no module of family {} for weight {}", name_of(family), int(weight));
    return *module;
}

WeightAxis weight_axis(Format format, Layout layout) {
    if (layout == Layout::blocks) return static_cast<WeightAxis>(format);
    switch (format) {
#define ATLAS_PLANES(name, ...) \
    case Format::name:          \
        return WeightAxis::name##_planar;
#include "quant/planes.def"
#undef ATLAS_PLANES
        default:
            break;
    }
    ATLAS_CHECK(false, "{} has no planes", info(format).name);
    return WeightAxis::none;
}

const KernelModule& kernel_module(KernelFamily family, Format weight, Layout layout) {
    return kernel_module(family, weight_axis(weight, layout));
}

bool has_kernel(KernelFamily family, WeightAxis weight) { return find(family, weight) != nullptr; }
bool has_kernel(KernelFamily family, Format weight, Layout layout) {
    return has_kernel(family, weight_axis(weight, layout));
}

std::string_view name_of(KernelFamily family) {
    switch (family) {
#define ATLAS_KERNEL_FAMILY(name) \
    case KernelFamily::name:      \
        return #name;
#include "kernel_families.inc"
#undef ATLAS_KERNEL_FAMILY
    }
    return "?";
}

}  // namespace atlas
