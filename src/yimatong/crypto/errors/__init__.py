"""What the crypto room answers when it cannot or will not: codes ``CRY-xxxx``.

::

    Refusal
    ├── SignatureInvalid             CRY-1001
    ├── ReferenceInvalid             CRY-1002
    ├── VuidNotOurs                  CRY-1003
    ├── CertificateNotRecoverable    CRY-1004
    ├── KeyNotFound                  CRY-2001
    ├── KeyDisabled                  CRY-2002
    ├── ImportRefusedAfterCutOff     CRY-2003
    ├── ComponentMismatch            CRY-2004
    ├── ComponentsIncomplete         CRY-2005
    ├── ActiveKeyInUse               CRY-2006
    ├── KeystoreExists               CRY-2007
    ├── VersionNotNext               CRY-2008
    ├── ActivationRefused            CRY-2009
    └── BackupRefused                CRY-2010
    Unavailable
    ├── DeviceUnavailable            CRY-5001
    ├── SealBroken                   CRY-5002
    ├── KeystoreUnreadable           CRY-5003
    ├── PassphraseWrong              CRY-5004
    └── DemonstrationKeysInProduction  CRY-5005
"""

from __future__ import annotations

from yimatong.kit.errors import Refusal, Unavailable


class SignatureInvalid(Refusal):
    """A signature or message authentication code does not fit its message and key."""

    code = "CRY-1001"
    status = 401
    zh = "签名验证不通过"
    en = "the signature does not verify"


class ReferenceInvalid(Refusal):
    """An ``mpi_ref`` that is not 32 hexadecimal characters."""

    code = "CRY-1002"
    status = 422
    zh = "主索引引用应为32位十六进制字符"
    en = "a master index reference has 32 hexadecimal characters"


class VuidNotOurs(Refusal):
    """A VUID that was not made from this master index id with this key."""

    code = "CRY-1003"
    zh = "电子健康卡ID与主索引或密钥版本不符"
    en = "the card id does not belong to this master index id and key version"


class CertificateNotRecoverable(Refusal):
    """The VUID holds a digest because the certificate number is longer than 30 characters or not ASCII."""

    code = "CRY-1004"
    status = 409
    zh = "证件号码超过30位或含非ASCII字符，电子健康卡ID中仅存摘要，无法还原"
    en = "the card id holds only a digest of this certificate number; it cannot be recovered"


class KeyNotFound(Refusal):
    """No such key version in the device, or it was destroyed."""

    code = "CRY-2001"
    status = 404
    zh = "密码设备中没有 {usage} 第 {version} 版密钥"
    en = "the crypto device holds no {usage} key version {version}"


class KeyDisabled(Refusal):
    """The key version was switched off: nothing new is made or verified with it."""

    code = "CRY-2002"
    status = 409
    zh = "{usage} 第 {version} 版密钥已停用"
    en = "{usage} key version {version} is switched off"


class ImportRefusedAfterCutOff(Refusal):
    """The device was cut off from the key system; nothing can be imported any more."""

    code = "CRY-2003"
    status = 409
    zh = "密码设备已与密钥系统断开，不再接受任何密钥导入"
    en = "the crypto device is cut off from the key system and refuses every import"


class ComponentMismatch(Refusal):
    """A component, or the key made of all components, does not have the announced key check value."""

    code = "CRY-2004"
    status = 422
    zh = "密钥分量或合成密钥的校验值（KCV）不符：{what}"
    en = "the key check value does not fit: {what}"


class ComponentsIncomplete(Refusal):
    """The components do not make one ceremony: number of parts, a part twice, or different announcements."""

    code = "CRY-2005"
    status = 409
    zh = "密钥分量不成套：{detail}"
    en = "the components do not make one ceremony: {detail}"


class ActiveKeyInUse(Refusal):
    """The active version cannot be switched off or destroyed before another one is active."""

    code = "CRY-2006"
    status = 409
    zh = "{usage} 第 {version} 版密钥正在使用，请先轮换"
    en = "{usage} key version {version} is active; rotate first"


class KeystoreExists(Refusal):
    """A keystore file is never overwritten."""

    code = "CRY-2007"
    status = 409
    zh = "密钥库文件已存在，不会被覆盖"
    en = "the keystore file exists and is never overwritten"


class VersionNotNext(Refusal):
    """A key was to be made under a number that is not the next one, or the 255 versions are used up."""

    code = "CRY-2008"
    status = 409
    zh = "{usage} 密钥的下一版本号是 {version}，与要求不符或已超过255"
    en = "the next version of the {usage} key is {version}: not what was asked for, or beyond 255"


class ActivationRefused(Refusal):
    """Versions go forward only: from ready to active, never back to an older one; nothing else fits this version."""

    code = "CRY-2009"
    status = 409
    zh = "{usage} 第 {version} 版密钥不处于可执行此操作的状态（版本只能向前启用）"
    en = "{usage} key version {version} is not in a state for this; versions are activated forward only"


class BackupRefused(Refusal):
    """A backup was altered, is sealed under another key, or contradicts what the device holds; nothing was taken."""

    code = "CRY-2010"
    status = 409
    zh = "密钥备份无法恢复：{detail}"
    en = "the backup of the keys cannot be restored: {detail}"


class DeviceUnavailable(Unavailable):
    """The crypto device cannot be reached or answered with a fault; nothing was done."""

    code = "CRY-5001"
    zh = "密码设备 {device} 暂时不可用"
    en = "the crypto device {device} is unavailable"


class SealBroken(Unavailable):
    """A sealed value was altered, cut, moved to another row, or its key version is gone."""

    code = "CRY-5002"
    retryable = False
    zh = "加密数据校验失败，内容可能被篡改或密钥版本已销毁"
    en = "a sealed value does not open: it was altered or its key version is gone"


class KeystoreUnreadable(Unavailable):
    """The keystore file is missing, not readable or not in our format."""

    code = "CRY-5003"
    retryable = False
    zh = "密钥库文件无法读取：{reason}"
    en = "the keystore file cannot be read: {reason}"


class PassphraseWrong(Unavailable):
    """The passphrase does not open the keystore, or the file was altered (the two cannot be told apart)."""

    code = "CRY-5004"
    retryable = False
    zh = "密钥库口令错误，或文件已被篡改"
    en = "the passphrase is wrong or the keystore was altered"


class DemonstrationKeysInProduction(Unavailable):
    """A demonstration keystore was opened by a production process."""

    code = "CRY-5005"
    retryable = False
    zh = "生产环境不得使用演示密钥库"
    en = "a demonstration keystore must not be used in production"
