#pragma once
// What a pass would dispatch, as plain data. A pass is run once to fill it; then its pipelines are built in parallel
// and it is recorded.

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/vk/cost.h"
#include "runtime/vk/hazard.h"
#include "runtime/vk/kernel.h"
#include "shaders/kernel_table.h"

namespace atlas {

struct PlannedDispatch {
    size_t kernel = 0;  // in DispatchPlan::kernels
    std::vector<vk::Binding> bindings;
    std::vector<std::byte> push;
    std::array<uint32_t, 3> groups{1, 1, 1};
    vk::Cost cost;
    std::string label;  // not empty: a label starts here
};

struct DispatchPlan {
    std::vector<vk::KernelSpec> kernels;  // each once
    std::vector<PlannedDispatch> dispatches;
    std::string next_label;
    std::optional<Error> error;  // the first thing that this device cannot do

    /// Index of the kernel, added if it is new.
    size_t kernel(const KernelModule& module, std::vector<uint32_t> constants, uint32_t n_bindings, uint32_t push_bytes,
                  uint32_t subgroup_size = 0);
};

}  // namespace atlas
