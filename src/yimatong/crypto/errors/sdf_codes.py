"""Every return code of GM/T 0018 as a named error.

``CRY-61nn`` is code ``SDR_BASE + nn`` (nn decimal; annex A of GM/T 0018-2012 and -2023). Every one says what the code
means for the driver by ``kind``::

    LOST     the device is gone or sick: it is taken out, the next one is asked, it is tried again in the background
    REFUSED  the device works and declines: a right, a key or a cipher is not what it should be
    DEFECT   we asked for something that this device does not know, or in a wrong way

Nothing was done by a call that failed, so all are ``Unavailable``; only LOST is worth sending again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final

from yimatong.kit.errors import Unavailable

SDR_OK: Final = 0
SDR_BASE: Final = 0x01000000


class Kind(StrEnum):
    """What a return code means for the driver."""

    LOST = "lost"
    REFUSED = "refused"
    DEFECT = "defect"


class SdfError(Unavailable):
    """Root of the device's own answers. ``sdr`` is the return code, ``kind`` what it means; never raised itself."""

    sdr: ClassVar[int] = 0
    kind: ClassVar[Kind] = Kind.LOST


class SdfVendorError(SdfError):
    """A return code that GM/T 0018 does not list; the vendor's manual explains it."""

    code = "CRY-6199"
    kind = Kind.REFUSED
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回厂商自定义错误 {sdr}"
    en = "the crypto device {device} answered {function} with the vendor's code {sdr}"


class SdfUnknownError(SdfError):
    """An error that the device does not explain (``SDR_UNKNOWERR``)."""

    code = "CRY-6101"
    sdr = SDR_BASE + 0x01
    zh = "密码设备 {device} 在 {function} 返回：未知错误（SDR_UNKNOWERR）"
    en = "the crypto device {device} answered {function}: unknown error (SDR_UNKNOWERR)"


class SdfNotSupported(SdfError):
    """The library does not offer the function (``SDR_NOTSUPPORT``)."""

    code = "CRY-6102"
    sdr = SDR_BASE + 0x02
    kind = Kind.DEFECT
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：不支持的接口调用（SDR_NOTSUPPORT）"
    en = "the crypto device {device} answered {function}: the call is not supported (SDR_NOTSUPPORT)"


class SdfCommunicationFailed(SdfError):
    """The device cannot be reached (``SDR_COMMFAIL``)."""

    code = "CRY-6103"
    sdr = SDR_BASE + 0x03
    zh = "密码设备 {device} 在 {function} 返回：与设备通信失败（SDR_COMMFAIL）"
    en = "the crypto device {device} answered {function}: communication with the device failed (SDR_COMMFAIL)"


class SdfHardwareSilent(SdfError):
    """The device's computing module does not answer (``SDR_HARDFAIL``)."""

    code = "CRY-6104"
    sdr = SDR_BASE + 0x04
    zh = "密码设备 {device} 在 {function} 返回：运算模块无响应（SDR_HARDFAIL）"
    en = "the crypto device {device} answered {function}: the computing module does not respond (SDR_HARDFAIL)"


class SdfDeviceNotOpened(SdfError):
    """SDF_OpenDevice failed (``SDR_OPENDEVICE``)."""

    code = "CRY-6105"
    sdr = SDR_BASE + 0x05
    zh = "密码设备 {device} 在 {function} 返回：打开设备失败（SDR_OPENDEVICE）"
    en = "the crypto device {device} answered {function}: the device was not opened (SDR_OPENDEVICE)"


class SdfSessionNotOpened(SdfError):
    """SDF_OpenSession failed, e.g. because the device has no more sessions (``SDR_OPENSESSION``)."""

    code = "CRY-6106"
    sdr = SDR_BASE + 0x06
    zh = "密码设备 {device} 在 {function} 返回：创建会话失败（SDR_OPENSESSION）"
    en = "the crypto device {device} answered {function}: the session was not opened (SDR_OPENSESSION)"


class SdfPrivateKeyDenied(SdfError):
    """The session holds no access right to the private key (``SDR_PARDENY``)."""

    code = "CRY-6107"
    sdr = SDR_BASE + 0x07
    kind = Kind.REFUSED
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：无私钥使用权限（SDR_PARDENY）"
    en = "the crypto device {device} answered {function}: no right to the private key (SDR_PARDENY)"


class SdfKeyMissing(SdfError):
    """No key at the index, or no such key handle (``SDR_KEYNOTEXIST``)."""

    code = "CRY-6108"
    sdr = SDR_BASE + 0x08
    kind = Kind.REFUSED
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：不存在的密钥调用（SDR_KEYNOTEXIST）"
    en = "the crypto device {device} answered {function}: the key does not exist (SDR_KEYNOTEXIST)"


class SdfAlgorithmNotSupported(SdfError):
    """The device does not know the algorithm (``SDR_ALGNOTSUPPORT``)."""

    code = "CRY-6109"
    sdr = SDR_BASE + 0x09
    kind = Kind.DEFECT
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：不支持的算法调用（SDR_ALGNOTSUPPORT）"
    en = "the crypto device {device} answered {function}: the algorithm is not supported (SDR_ALGNOTSUPPORT)"


class SdfModeNotSupported(SdfError):
    """The device does not know the mode of the algorithm (``SDR_ALGMODNOTSUPPORT``)."""

    code = "CRY-6110"
    sdr = SDR_BASE + 0x0A
    kind = Kind.DEFECT
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：不支持的算法模式调用（SDR_ALGMODNOTSUPPORT）"
    en = "the crypto device {device} answered {function}: the mode is not supported (SDR_ALGMODNOTSUPPORT)"


class SdfPublicKeyOperationFailed(SdfError):
    """A computation with a public key failed (``SDR_PKOPERR``)."""

    code = "CRY-6111"
    sdr = SDR_BASE + 0x0B
    kind = Kind.REFUSED
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：公钥运算失败（SDR_PKOPERR）"
    en = "the crypto device {device} answered {function}: the public key operation failed (SDR_PKOPERR)"


class SdfPrivateKeyOperationFailed(SdfError):
    """A computation with a private key failed (``SDR_SKOPERR``)."""

    code = "CRY-6112"
    sdr = SDR_BASE + 0x0C
    kind = Kind.REFUSED
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：私钥运算失败（SDR_SKOPERR）"
    en = "the crypto device {device} answered {function}: the private key operation failed (SDR_SKOPERR)"


class SdfSigningFailed(SdfError):
    """The device did not sign (``SDR_SIGNERR``)."""

    code = "CRY-6113"
    sdr = SDR_BASE + 0x0D
    kind = Kind.REFUSED
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：签名运算失败（SDR_SIGNERR）"
    en = "the crypto device {device} answered {function}: signing failed (SDR_SIGNERR)"


class SdfSignatureRejected(SdfError):
    """The device found a signature wrong (``SDR_VERIFYERR``)."""

    code = "CRY-6114"
    sdr = SDR_BASE + 0x0E
    kind = Kind.REFUSED
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：验证签名失败（SDR_VERIFYERR）"
    en = "the crypto device {device} answered {function}: the signature does not verify (SDR_VERIFYERR)"


class SdfSymmetricOperationFailed(SdfError):
    """SM4 failed inside the device (``SDR_SYMOPERR``)."""

    code = "CRY-6115"
    sdr = SDR_BASE + 0x0F
    kind = Kind.REFUSED
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：对称算法运算失败（SDR_SYMOPERR）"
    en = "the crypto device {device} answered {function}: the symmetric operation failed (SDR_SYMOPERR)"


class SdfStepsOutOfOrder(SdfError):
    """Calls were made in the wrong order, or the device was restarted between them (``SDR_STEPERR``)."""

    code = "CRY-6116"
    sdr = SDR_BASE + 0x10
    kind = Kind.DEFECT
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：多步运算步骤错误（SDR_STEPERR）"
    en = "the crypto device {device} answered {function}: the steps of the operation are out of order (SDR_STEPERR)"


class SdfFileTooLarge(SdfError):
    """A file in the device would become too large (``SDR_FILESIZEERR``)."""

    code = "CRY-6117"
    sdr = SDR_BASE + 0x11
    kind = Kind.DEFECT
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：文件长度超出限制（SDR_FILESIZEERR）"
    en = "the crypto device {device} answered {function}: the file is too large (SDR_FILESIZEERR)"


class SdfFileMissing(SdfError):
    """No such file in the device (``SDR_FILENOEXIST``)."""

    code = "CRY-6118"
    sdr = SDR_BASE + 0x12
    kind = Kind.DEFECT
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：指定的文件不存在（SDR_FILENOEXIST）"
    en = "the crypto device {device} answered {function}: the file does not exist (SDR_FILENOEXIST)"


class SdfFileOffsetWrong(SdfError):
    """A position outside a file in the device (``SDR_FILEOFSERR``)."""

    code = "CRY-6119"
    sdr = SDR_BASE + 0x13
    kind = Kind.DEFECT
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：文件起始位置错误（SDR_FILEOFSERR）"
    en = "the crypto device {device} answered {function}: the position in the file is wrong (SDR_FILEOFSERR)"


class SdfKeyTypeWrong(SdfError):
    """A key of another type stands at the index (``SDR_KEYTYPEERR``)."""

    code = "CRY-6120"
    sdr = SDR_BASE + 0x14
    kind = Kind.REFUSED
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：密钥类型错误（SDR_KEYTYPEERR）"
    en = "the crypto device {device} answered {function}: the key has another type (SDR_KEYTYPEERR)"


class SdfKeyWrong(SdfError):
    """The device does not accept the key (``SDR_KEYERR``)."""

    code = "CRY-6121"
    sdr = SDR_BASE + 0x15
    kind = Kind.REFUSED
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：密钥错误（SDR_KEYERR）"
    en = "the crypto device {device} answered {function}: the key is wrong (SDR_KEYERR)"


class SdfCipherWrong(SdfError):
    """A wrapped key does not open under this key pair (``SDR_ENCDATAERR``)."""

    code = "CRY-6122"
    sdr = SDR_BASE + 0x16
    kind = Kind.REFUSED
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：ECC 加密数据错误（SDR_ENCDATAERR）"
    en = "the crypto device {device} answered {function}: the ECC cipher is wrong (SDR_ENCDATAERR)"


class SdfRandomFailed(SdfError):
    """The random source of the device failed (``SDR_RANDERR``)."""

    code = "CRY-6123"
    sdr = SDR_BASE + 0x17
    zh = "密码设备 {device} 在 {function} 返回：随机数产生失败（SDR_RANDERR）"
    en = "the crypto device {device} answered {function}: no random numbers (SDR_RANDERR)"


class SdfAccessRightRefused(SdfError):
    """The access code (PIN) of the private key is wrong or locked (``SDR_PRKRERR``)."""

    code = "CRY-6124"
    sdr = SDR_BASE + 0x18
    kind = Kind.REFUSED
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：私钥使用权限获取失败（SDR_PRKRERR）"
    en = "the crypto device {device} answered {function}: the access right was refused (SDR_PRKRERR)"


class SdfMacFailed(SdfError):
    """A MAC was not computed (``SDR_MACERR``)."""

    code = "CRY-6125"
    sdr = SDR_BASE + 0x19
    kind = Kind.REFUSED
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：MAC 运算失败（SDR_MACERR）"
    en = "the crypto device {device} answered {function}: the MAC failed (SDR_MACERR)"


class SdfFileExists(SdfError):
    """A file of this name is in the device already (``SDR_FILEEXISTS``)."""

    code = "CRY-6126"
    sdr = SDR_BASE + 0x1A
    kind = Kind.DEFECT
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：指定文件已存在（SDR_FILEEXISTS）"
    en = "the crypto device {device} answered {function}: the file exists (SDR_FILEEXISTS)"


class SdfFileNotWritten(SdfError):
    """The device could not write (``SDR_FILEWERR``)."""

    code = "CRY-6127"
    sdr = SDR_BASE + 0x1B
    zh = "密码设备 {device} 在 {function} 返回：文件写入失败（SDR_FILEWERR）"
    en = "the crypto device {device} answered {function}: the file was not written (SDR_FILEWERR)"


class SdfNoMemory(SdfError):
    """The device or its library has no memory left (``SDR_NOBUFFER``)."""

    code = "CRY-6128"
    sdr = SDR_BASE + 0x1C
    zh = "密码设备 {device} 在 {function} 返回：存储空间不足（SDR_NOBUFFER）"
    en = "the crypto device {device} answered {function}: the device is out of memory (SDR_NOBUFFER)"


class SdfInputWrong(SdfError):
    """An argument is wrong; also the answer of some libraries to a handle from before a restart (``SDR_INARGERR``)."""

    code = "CRY-6129"
    sdr = SDR_BASE + 0x1D
    kind = Kind.DEFECT
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：输入参数错误（SDR_INARGERR）"
    en = "the crypto device {device} answered {function}: an input argument is wrong (SDR_INARGERR)"


class SdfOutputWrong(SdfError):
    """A place for output is missing or too small (``SDR_OUTARGERR``)."""

    code = "CRY-6130"
    sdr = SDR_BASE + 0x1E
    kind = Kind.DEFECT
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：输出参数错误（SDR_OUTARGERR）"
    en = "the crypto device {device} answered {function}: an output argument is wrong (SDR_OUTARGERR)"


class SdfUserIdWrong(SdfError):
    """The signer's identity is wrong (2023 edition) (``SDR_USERIDERR``)."""

    code = "CRY-6131"
    sdr = SDR_BASE + 0x1F
    kind = Kind.DEFECT
    retryable = False
    zh = "密码设备 {device} 在 {function} 返回：用户标识错误（SDR_USERIDERR）"
    en = "the crypto device {device} answered {function}: the user id is wrong (SDR_USERIDERR)"


BY_CODE: Final[dict[int, type[SdfError]]] = {error.sdr: error for error in SdfError.__subclasses__() if error.sdr}


def error_for(sdr: int, *, device: str, function: str) -> SdfError:
    """Return the named error of a return code that is not ``SDR_OK``."""
    known = BY_CODE.get(sdr)
    if known is None:
        return SdfVendorError(device=device, function=function, sdr=f"0x{sdr:08X}")
    return known(device=device, function=function)
