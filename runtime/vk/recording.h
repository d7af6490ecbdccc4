#pragma once
// What a Recording holds; seen by the recorder, the queue and the profiler.

#include <string>
#include <vector>

#include "runtime/vk/recorder.h"

namespace atlas::vk {

struct Recording::State {
    struct Part {
        VkCommandBuffer commands = nullptr;
        std::string what;  // "decode, part 2 of 3, from layer 14" in errors
        double estimated_ms = 0;
        uint32_t n_dispatches = 0;  // or copies, or fills
    };
    /// Two timestamps around a run of dispatches with one label.
    struct Span {
        std::string label;
        uint32_t first_query = 0;  // the second follows it
        uint32_t dispatches = 0;
    };

    Device* device = nullptr;
    std::string name;
    std::vector<Part> parts;
    VkCommandPool commands = nullptr;
    VkDescriptorPool descriptors = nullptr;
    VkQueryPool queries = nullptr;
    uint32_t n_queries = 0;
    std::vector<Span> spans;
    size_t n_dispatches = 0;
    size_t n_barriers = 0;

    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State();
};

}  // namespace atlas::vk
