"""What the driver of GM/T 0018 devices says itself; the devices' own answers are in :mod:`.sdf_codes`."""

from __future__ import annotations

from yimatong.kit.errors import Unavailable


class SdfLibraryUnusable(Unavailable):
    """The library that the settings name cannot be loaded, or lacks a function that the driver needs."""

    code = "CRY-6001"
    retryable = False
    zh = "密码设备接口库不可用：{reason}"
    en = "the library of the crypto device cannot be used: {reason}"


class SdfSessionsBusy(Unavailable):
    """Every session of the device is in use, and none came free in time."""

    code = "CRY-6002"
    zh = "密码设备 {device} 的会话均被占用，请稍后重试"
    en = "every session of the crypto device {device} is in use; try again"


class SdfKeyDiffers(Unavailable):
    """A device holds another key under this version than the others: it is not used."""

    code = "CRY-6003"
    retryable = False
    zh = "密码设备 {device} 中 {usage} 第 {version} 版密钥与登记的校验值（KCV）不符，已停用该设备"
    en = "the {usage} key version {version} on the crypto device {device} has another key check value; it is not used"


class SdfKeyNotShared(Unavailable):
    """A device has no wrapped copy of a key version, and no other device is there to make one."""

    code = "CRY-6004"
    zh = "密码设备 {device} 尚无 {usage} 第 {version} 版密钥，且没有其他设备可以转送"
    en = "the crypto device {device} has no {usage} key version {version} yet, and no other device can pass it on"


class SdfAnswerWrong(Unavailable):
    """The device answered with something that cannot be: a wrong length, a point that is not on the curve."""

    code = "CRY-6005"
    retryable = False
    zh = "密码设备 {device} 的应答不合规范：{what}"
    en = "the crypto device {device} answered against the standard: {what}"


class SdfSigningPairMissing(Unavailable):
    """GM/T 0018 makes no key pairs for work: the maker's tool makes them, and the settings name their indexes."""

    code = "CRY-6006"
    retryable = False
    zh = "没有可用于签名密钥第 {version} 版的密钥对，请用厂商工具生成后在配置 signing_indexes 中登记其索引"
    en = "no key pair for signing key version {version}: make it with the maker's tool, name it in signing_indexes"
