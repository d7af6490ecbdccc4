#pragma once
// Forward declarations of the Vulkan handles in our headers, without Vulkan's own (large) headers.

static_assert(sizeof(void*) == 8, "Vulkan handles are pointers on 64-bit systems only");

using VkInstance = struct VkInstance_T*;
using VkPhysicalDevice = struct VkPhysicalDevice_T*;
using VkDevice = struct VkDevice_T*;
using VkQueue = struct VkQueue_T*;
using VkCommandBuffer = struct VkCommandBuffer_T*;
using VkCommandPool = struct VkCommandPool_T*;
using VkSemaphore = struct VkSemaphore_T*;
using VkBuffer = struct VkBuffer_T*;
using VkDeviceMemory = struct VkDeviceMemory_T*;
using VkPipeline = struct VkPipeline_T*;
using VkPipelineLayout = struct VkPipelineLayout_T*;
using VkDescriptorSetLayout = struct VkDescriptorSetLayout_T*;
using VkDescriptorPool = struct VkDescriptorPool_T*;
using VkQueryPool = struct VkQueryPool_T*;
