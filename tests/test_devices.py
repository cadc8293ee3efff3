import contextlib
import platform
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.learning import devices

CPU, GPU, APPLE = torch.device("cpu"), torch.device("cuda"), torch.device("mps")


@pytest.fixture
def machine(monkeypatch):
    """Return pretend(gpus=0, apple=False): what PyTorch says this machine has; the list it returns gets the GPUs that
    are chosen for this process."""

    def pretend(gpus=0, apple=False):
        chosen = []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)
        return chosen

    return pretend


@pytest.fixture
def processor(monkeypatch):
    """Return pretend(**capabilities): what PyTorch says of the processor."""

    def pretend(**capabilities):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    return pretend


@pytest.fixture
def memory(monkeypatch, tmp_path):
    """Return pretend(limit): 1000 bytes are free, this process has 300, and its container may take `limit` bytes."""

    def pretend(limit):
        monkeypatch.setattr(devices.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
        taken = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=300))
        monkeypatch.setattr(devices.psutil, "Process", lambda: taken)
        path = tmp_path / "memory.max"
        monkeypatch.setattr(devices, "CONTAINER_LIMIT", path)
        if limit is not None:
            path.write_text(f"{limit}\n")

    return pretend


def autocast_is_missing(*arguments):
    raise RuntimeError("no such number format on this device")


def autocast_does_nothing(*arguments):
    return contextlib.nullcontext()


def fault_of(function, *arguments):
    with pytest.raises(UserError) as error:
        function(*arguments)
    (fault,) = error.value.faults
    return fault


def test_the_device_is_the_cpu_unless_told_otherwise(machine):
    machine(gpus=2)
    assert devices.pick_device(use_gpu=False) == CPU


def test_the_device_is_the_gpu_where_there_is_one(machine):
    machine(gpus=2, apple=True)
    assert devices.pick_device(use_gpu=True) == GPU
    machine(apple=True)
    assert devices.pick_device(use_gpu=True) == APPLE


def test_no_gpu_is_an_error_with_the_way_out(machine):
    machine()
    assert fault_of(devices.pick_device, True).startswith(f"--use_GPU: PyTorch {torch.__version__} sees no GPU ")


def test_every_process_has_a_gpu_of_its_own(machine, launched):
    chosen = machine(gpus=2)
    for number, gpu in [(0, 0), (1, 1), (2, 0), (3, 1)]:  # on two machines
        launched(number, 4, count_here=2)
        assert devices.pick_device(use_gpu=True) == torch.device("cuda", gpu)
    assert chosen == [0, 1, 0, 1]


def test_more_processes_than_gpus_are_an_error(machine, launched):
    machine(gpus=2)
    launched(2, 3)
    assert fault_of(devices.pick_device, True).startswith("--use_GPU: process 3 of this machine finds 2 GPUs only; ")
    machine(apple=True)
    assert fault_of(devices.pick_device, True).startswith("--use_GPU: this machine's GPU takes one process only; ")
    assert devices.pick_device(use_gpu=False) == CPU


@pytest.mark.parametrize("device", [CPU, GPU, APPLE], ids=str)
def test_float32_is_float32_everywhere(device, processor, monkeypatch):
    processor(avx512_bf16=True)
    monkeypatch.setattr(torch, "autocast", autocast_is_missing)
    assert devices.pick_precision("float32", device) == "float32"


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, "bfloat16"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bfloat16"),
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC 9R14"}, "bfloat16"),
        ({"avx512_bf16": True, "amx_bf16": True, "cpu_name": "Intel Xeon"}, "bfloat16"),
        ({"avx512_bf16": True, "amx_bf16": False, "cpu_name": "Intel Xeon"}, "float32"),
        ({"avx512_bf16": False, "avx512_f": True, "amx_int8": True}, "float32"),
        ({}, "float32"),
    ],
)
def test_a_processor_trains_in_bfloat16_where_it_is_faster_in_it(processor, capabilities, expected):
    processor(**capabilities)
    assert devices.pick_precision("auto", CPU) == expected


def test_a_pytorch_that_cannot_tell_the_instructions_trains_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert devices.pick_precision("auto", CPU) == "float32"


def test_bfloat16_is_used_where_it_is_asked_for_and_works(processor):
    processor()
    assert devices.pick_precision("bfloat16", CPU) == "bfloat16"


@pytest.mark.parametrize(
    ("name", "what_fails"),
    [
        ("autocast", autocast_is_missing),
        ("autocast", autocast_does_nothing),
        ("rand", lambda *shape, device: torch.full(shape, torch.nan, device=device)),
    ],
    ids=["an error", "another format", "gradients that are not finite"],
)
def test_bfloat16_that_fails_in_a_trial_is_not_used(processor, monkeypatch, name, what_fails):
    processor(avx512_bf16=True)
    monkeypatch.setattr(torch, name, what_fails)
    assert devices.pick_precision("auto", CPU) == "float32"
    assert fault_of(devices.pick_precision, "bfloat16", CPU).startswith("-precision bfloat16: ")


@pytest.mark.parametrize(
    ("has_bfloat16", "capability", "expected"),
    [
        (True, (8, 0), "bfloat16"),
        (False, (7, 5), "float16"),
        (False, (7, 0), "float16"),
        (False, (6, 1), "float32"),
    ],
)
def test_an_nvidia_gpu_trains_in_the_fastest_format_that_it_has(monkeypatch, has_bfloat16, capability, expected):
    # PyTorch imitates bfloat16, slowly, on the GPUs that lack it.
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: has_bfloat16 or including_emulation
    )
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert devices.pick_precision("auto", GPU) == expected


def test_an_apple_gpu_trains_in_float32(processor):
    processor(avx512_bf16=True)
    assert devices.pick_precision("auto", APPLE) == "float32"


def test_autocast_computes_in_bfloat16_and_leaves_weights_and_gradients_in_float32():
    layer = nn.Linear(3, 2)
    with devices.autocast(CPU, "bfloat16"):
        output = layer(torch.rand(4, 3))
    output.float().sum().backward()
    assert output.dtype == torch.bfloat16
    assert {tensor.dtype for tensor in (layer.weight, layer.weight.grad, layer(torch.rand(4, 3)))} == {torch.float32}


def test_autocast_to_float32_changes_nothing():
    layer, images = nn.Linear(3, 2), torch.rand(4, 3)
    expected = layer(images)
    with devices.autocast(CPU, "float32"):
        assert not torch.is_autocast_enabled("cpu")
        assert torch.equal(layer(images), expected)


@pytest.mark.parametrize("device", [CPU, APPLE], ids=str)
@pytest.mark.parametrize(
    ("limit", "free"), [(None, 1000), ("max", 1000), (1200, 900), (1301, 1000), (300, 0), (200, 0)]
)
def test_memory_is_what_the_system_has_and_the_container_allows(memory, device, limit, free):
    memory(limit)
    assert devices.free_memory(device) == free


@pytest.mark.parametrize(("limit", "free"), [(None, 500), ("max", 500), (1200, 300), (2000, 500), (500, 0)])
def test_processes_on_one_machine_divide_its_memory(memory, launched, limit, free):
    memory(limit)
    launched(3, 4, count_here=2)
    assert devices.free_memory(CPU) == free


def test_the_memory_of_this_machine_is_known():
    assert 2**20 < devices.free_memory(CPU) <= devices.psutil.virtual_memory().total


def test_the_memory_of_an_nvidia_gpu_is_its_own(memory, monkeypatch):
    memory(500)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: {1: (7000, 9000)}[device.index])
    assert devices.free_memory(torch.device("cuda", 1)) == 7000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this setting")
def test_freed_memory_is_kept_for_the_next_step_by_models_that_are_not_large(run_python):
    program = """
import resource, torch
from pipeline.learning import devices
for inputs in (14_000, 13_000, 14_000):
    devices.keep_freed_memory(torch.nn.Linear(inputs, 4000, device="meta"))  # takes no memory itself
    for repeat in range(40):
        if repeat == 20:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(1 << 24)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    # Cleared of 20 times 64 MB: 327,680 pages of 4 kB, or 20,480 of 64 kB; glibc by itself never keeps such a block.
    large, not_large, large_again = map(int, run_python(program).stdout.split())
    assert not_large < 300 <= min(large, large_again)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:116] data. DefaultCPUAllocator: not enough memory"),
    ],
    ids=str,
)
def test_running_out_of_memory_says_what_was_asked_for(error):
    with pytest.raises(UserError) as fault, devices.memory_shortage_named(25, [3, 224, 224]):
        raise error
    (told,) = fault.value.faults
    assert "3 x 224 x 224, 25 at a time" in told
    assert "-batch_size" in told and "-img_shape" in told


def test_another_error_is_not_a_shortage_of_memory():
    with pytest.raises(RuntimeError, match="shapes"), devices.memory_shortage_named(25, [3, 224, 224]):
        raise RuntimeError("shapes cannot be multiplied")
