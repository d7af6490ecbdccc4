#pragma once
// One device under the validation layers, with synchronisation validation, for all end-to-end tests.

#include <gtest/gtest.h>

#include <string>

#include "runtime/kernels/vk_backend.h"
#include "runtime/vk/instance.h"
#include "tests/support/end_of_tests.h"

namespace atlas {

/// Pipelines are built once for the whole program and kept between runs.
inline VkBackend& vulkan() {
    return test::kept_for_all_tests([] {
        VkBackendOptions options;
        options.validation = true;
        options.pipeline_cache = std::string(ATLAS_BINARY_DIR) + "/test_end_to_end.pipelines";
        auto made = make_vk_backend(options);
        ATLAS_CHECK(made.has_value(), "{}", made.error().message);
        return std::move(*made);
    });
}

/// Call it at the end of every test: the layers must have reported nothing.
inline void expect_no_validation_messages() {
    for (const vk::ValidationMessage& message : vulkan().take_validation_messages())
        ADD_FAILURE() << message.id << ": " << message.text;
}

}  // namespace atlas
